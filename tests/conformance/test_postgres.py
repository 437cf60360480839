"""The interface ``postgres``: what every provider of a database has to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from starter import Starter

pytestmark = pytest.mark.slow


def connect(environment: dict[str, str], **other: Any) -> psycopg.Connection[Any]:
    names = {
        "host": environment["PGHOST"],
        "port": environment["PGPORT"],
        "dbname": environment["PGDATABASE"],
        "user": environment["PGUSER"],
        "password": environment["PGPASSWORD"],
    }
    return psycopg.connect(**{**names, **other}, connect_timeout=10)


@pytest.fixture
def database(environment: dict[str, str]) -> Iterator[psycopg.Connection[Any]]:
    with connect(environment) as found:
        yield found
        found.rollback()


def test_it_is_a_postgresql_of_today(database: psycopg.Connection[Any]) -> None:
    assert database.info.server_version >= 150000


def test_the_asker_owns_its_database(database: psycopg.Connection[Any]) -> None:
    database.execute("CREATE SCHEMA conformance")
    database.execute("CREATE TABLE conformance.t (id bigint PRIMARY KEY, data jsonb)")
    database.execute("INSERT INTO conformance.t VALUES (1, '{\"a\": [1, 2]}')")
    assert database.execute("SELECT data->'a'->>1 FROM conformance.t").fetchone() == ("2",)


def test_text_is_utf8(database: psycopg.Connection[Any]) -> None:
    assert database.execute("SELECT lower('ÄÖŠ') || '水'").fetchone() == ("äöš水",)


def test_a_failed_transaction_leaves_nothing(environment: dict[str, str]) -> None:
    with connect(environment) as first:
        first.execute("CREATE TABLE half (id int)")
        first.rollback()
        assert first.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_a_wrong_password_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(environment, password="wrong")


def test_one_askers_role_cannot_enter_anothers_database(environment: dict[str, str]) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(environment, dbname="mlflow")


def test_askers_of_one_database_share_what_is_in_it(environment: dict[str, str], starter: Starter) -> None:
    other = {"user": "dask", "password": starter.granted("postgres", "dask.database")["password"]}
    with connect(environment) as first, connect(environment, **other) as second:
        try:
            first.execute("CREATE TABLE shared (id int)")
            first.commit()
            second.execute("INSERT INTO shared VALUES (1)")
            second.commit()
            assert first.execute("SELECT id FROM shared").fetchall() == [(1,)]
        finally:
            first.rollback()
            second.rollback()
            first.execute("DROP TABLE IF EXISTS shared")


def test_the_asker_is_no_superuser(database: psycopg.Connection[Any]) -> None:
    row = database.execute("SELECT rolsuper, rolcreaterole FROM pg_roles WHERE rolname = current_user")
    assert row.fetchone() == (False, False)


def test_uuids_need_no_extension(database: psycopg.Connection[Any]) -> None:
    assert database.execute("SELECT gen_random_uuid() IS NOT NULL").fetchone() == (True,)
