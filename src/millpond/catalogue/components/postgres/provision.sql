-- A role for one asker, and the database it asked for. Run again it changes nothing.
-- A database belongs to a role of its own, which each asker takes on there: what one asker makes in a
-- database that it shares with another, the other can use and change.
\getenv asker ASKER
\getenv database ASKER_DATABASE
\getenv password ASKER_PASSWORD
SELECT 'owner of ' || :'database' AS owner \gset
SELECT format('CREATE ROLE %I LOGIN', :'asker')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'asker') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'asker', :'password') \gexec
SELECT format('CREATE ROLE %I NOLOGIN', :'owner')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'owner') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'owner')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', :'database') \gexec
SELECT format('GRANT %I TO %I', :'owner', :'asker') \gexec
SELECT format('ALTER ROLE %I IN DATABASE %I SET role TO %I', :'asker', :'database', :'owner') \gexec
