"""The interface ``sql``: what every endpoint has to do for a driver as it comes, and who sees what."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.targets.local.installs import InstallRequest, InstallStore
from model_servers import SOURCE
from starter import Starter

pytestmark = pytest.mark.slow

LOCK = SOURCE / "millpond/catalogue/environments/sql/requirements.lock"
FLAVOUR = """
name: asked
components:
  seaweedfs:
  postgres:
  sql: {memory: 150MB, timeout: 10, rows: 1000000}
"""
# A program of a BI tool's kind: the ADBC driver for Flight SQL, a name, a password.
CODE = """
import json, os, sys, warnings
from adbc_driver_flightsql import dbapi

warnings.simplefilter("ignore")
asked = json.load(sys.stdin)

def told(work):
    try:
        return work()
    except Exception as error:
        return str(error).partition("Detail:")[0]

def answers(name, password, queries):
    options = {"username": name, "password": password} if name else {}
    with dbapi.connect(asked["uri"], db_kwargs=options) as connection, connection.cursor() as cursor:
        def rows(query):
            cursor.execute(query)
            return [list(row) for row in cursor.fetchall()]
        found = [told(lambda: rows(query)) for query in queries]
        if name:
            objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
            found.append(sorted(
                f"{one['catalog_name']}.{schema['db_schema_name']}.{table['table_name']}"
                for one in objects for schema in one["catalog_db_schemas"] or ()
                for table in schema["db_schema_tables"] or ()
            ))
        return found

print(json.dumps([told(lambda: answers(*one)) for one in asked["people"]], default=str))
"""
SET_UP = """
import os
import boto3, psycopg2
from millpond import lake, sql

boto3.client("s3").put_object(Bucket="raw", Key="a.csv", Body=b"id,who\\n1,ann\\n2,bob\\n")
ann = boto3.client("s3", aws_access_key_id=os.environ["ANN"], aws_secret_access_key=os.environ["ANN_SECRET"])
ann.put_object(Bucket="ann", Key="mine.csv", Body=b"id\\n5\\n")
lake.table("shop.orders").create([{"id": 1}, {"id": 2}]).tag("first").append([{"id": 3}])
with psycopg2.connect("") as database, database.cursor() as cursor:
    cursor.execute("CREATE TABLE people (id int); INSERT INTO people VALUES (1), (2)")
"""
SEEN = [
    "select 1 as one, 'x' as two",
    "select who from 'lake://raw/a.csv' order by id",
    "select count(*) from lake.shop.orders at (version => 'first')",
    "select count(*) from postgres.public.people",
    "from 'lake://ann/mine.csv'",
    "select count(*) from postgres.public.people join lake.shop.orders using (id)",
]
REFUSED = [
    "from read_text('/etc/passwd')",
    "from glob('/*')",
    "from read_text('http://127.0.0.1:1/')",
    "create table x as select 1",
    "copy (select 1) to 's3://raw/x.csv'",
    "set memory_limit = '100GB'",
    "attach ':memory:' as x",
    "select 1; select 2",
    "select secret_string from duckdb_secrets() where secret_string not like '%=redacted%'",
]
LIMITS = [
    "select list(range::varchar || 'xxxxxxxxxxxxxxxx') from range(30000000)",
    "select count(*) from range(10000000000000)",
    "select count(*), max(range) from (select range from range(3000000) limit 2000000)",
]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    found = Starter(tmp_path_factory.mktemp("asked"))
    (found.project / "millpond.yaml").write_text(FLAVOUR)
    try:
        found.millpond("up", timeout=600)
        yield found
    finally:
        found.millpond("destroy", "--yes", check=False)


@pytest.fixture(scope="module")
def found(platform: Starter, science_python: Path) -> list[Any]:
    """What the owner, ann, somebody with a wrong secret and nobody are answered."""
    platform.millpond("lake", "user", "add", "ann")
    ann = platform.json("lake", "user", "key", "ann", "--json")
    environment = {**os.environ, **platform.env, "PYTHONPATH": str(SOURCE)}
    environment |= {"ANN": ann["access_key"], "ANN_SECRET": ann["secret_key"]}
    subprocess.run([str(science_python), "-c", SET_UP], env=environment, check=True)
    request = InstallRequest("sql", LOCK.parent, {"pip": LOCK.name})
    python = asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"
    owner = (platform.env["AWS_ACCESS_KEY_ID"], platform.env["AWS_SECRET_ACCESS_KEY"])
    people = [
        [*owner, [*SEEN, *REFUSED, *LIMITS, "selec 1", "select ids from 'lake://raw/a.csv'"]],
        [ann["access_key"], ann["secret_key"], SEEN],
        [owner[0], "wrong", SEEN],
        ["", "", SEEN],
    ]
    asked = {"uri": platform.env["MILLPOND_SQL_URI"], "people": people}
    done = subprocess.run(
        [str(python), "-c", CODE],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PG"))},
    )
    assert done.returncode == 0, done.stderr
    answer: list[Any] = json.loads(done.stdout)
    return answer


def test_the_lake_tables_and_databases_are_asked_in_one_place(found: list[Any]) -> None:
    assert found[0][:6] == [[[1, "x"]], [["ann"], ["bob"]], [[2]], [[2]], [[5]], [[2]]]


def test_tools_are_told_what_there_is(found: list[Any]) -> None:
    assert {"lake.shop.orders", "postgres.public.people"} <= set(found[0][-1])


def test_a_user_sees_what_their_key_sees(found: list[Any]) -> None:
    one, raw, table, database, own, _, listed = found[1]
    assert one == [[1, "x"]]
    assert own == [[5]]
    assert "the lake refuses lake://raw/a.csv to this key" in raw
    assert "the catalogue tells nothing" in table
    assert 'catalog "postgres" does not exist' in database
    assert listed == []


def test_nobody_comes_in_without_a_key_of_the_lake(found: list[Any]) -> None:
    assert "UNAUTHENTICATED" in str(found[2])
    assert "the lake does not know this key" in str(found[2])
    assert "UNAUTHENTICATED" in str(found[3][0])


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_nothing_else_is_reached_and_nothing_is_changed(found: list[Any], number: int) -> None:
    answer = found[0][len(SEEN) + number]
    assert isinstance(answer, str) or answer == [], answer


def test_queries_are_limited(found: list[Any]) -> None:
    memory, seconds, within = found[0][len(SEEN) + len(REFUSED) :][:3]
    assert "needs more memory than it may take" in memory
    assert "stopped after 10 s" in seconds
    assert within == [[2000000, 1999999]]


def test_a_wrong_query_is_told_with_its_place(found: list[Any]) -> None:
    syntax, column = found[0][len(SEEN) + len(REFUSED) + len(LIMITS) :][:2]
    assert "query:1:1: syntax error" in syntax
    assert "did you mean id?" in column
