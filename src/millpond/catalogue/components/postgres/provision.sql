-- A role and a database for one asker. Run again it changes nothing but the password, to the same.
\getenv asker ASKER
\getenv database ASKER_DATABASE
\getenv password ASKER_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', :'asker')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'asker') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'asker', :'password') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'asker')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', :'database') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', :'database', :'asker') \gexec
