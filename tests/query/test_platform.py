"""One query over what a platform holds, as its user asks it: by the command, and from Python."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from model_servers import SOURCE
from starter import Starter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def orders(starter: Starter) -> Iterator[None]:
    """A table of the platform's PostgreSQL."""
    names = {key: starter.env[f"PG{key.upper()}"] for key in ("host", "port", "user", "password")}
    with psycopg.connect(**names, dbname=starter.env["PGDATABASE"], autocommit=True) as database:
        database.execute("CREATE TABLE orders (id int, who text)")
        database.execute("INSERT INTO orders VALUES (1, 'ann'), (2, 'bob')")
        yield
        database.execute("DROP TABLE orders")


@pytest.mark.usefixtures("orders")
def test_a_file_of_the_lake_joins_a_table_and_goes_back_into_the_lake(starter: Starter) -> None:
    wrote = starter.millpond(
        "sql", "select range::int as id, range * 10 as n from range(100)", "-o", "lake://raw/sql/n.parquet"
    )
    assert "wrote 100 rows to lake://raw/sql/n.parquet" in wrote.stderr
    query = (
        "select who, n from postgres.public.orders join 'lake://raw/sql/*.parquet' using (id) order by who"
    )
    found = starter.millpond("sql", query, "--json")
    assert json.loads(found.stdout) == [{"who": "ann", "n": 10}, {"who": "bob", "n": 20}]
    shown = starter.millpond("sql", query).stdout.splitlines()
    assert [line.split() for line in shown] == [["who", "n"], ["ann", "10"], ["bob", "20"]]


@pytest.mark.usefixtures("orders")
def test_a_table_that_is_not_there_is_told_by_the_one_that_is(starter: Starter) -> None:
    found = starter.millpond("sql", "select *\nfrom postgres.public.order", check=False)
    assert found.returncode == 3
    assert "query:2:6" in found.stderr
    assert "did you mean postgres.public.orders?" in found.stderr


@pytest.mark.usefixtures("orders")
def test_databases_are_read_only(starter: Starter) -> None:
    found = starter.millpond("sql", "delete from postgres.public.orders", check=False)
    assert found.returncode != 0
    assert "read-only" in found.stderr


def test_python_needs_nothing_configured(starter: Starter, science_python: Path) -> None:
    code = "from millpond import sql; print(sql(\"select sum(n)::int from 'raw/sql/n.parquet'\").fetchall())"
    found = subprocess.run(
        [str(science_python), "-c", code],
        env={**os.environ, **starter.env, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[(49500,)]"
