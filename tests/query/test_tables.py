"""Tables of the lake, as a user writes them from Python and asks them in SQL."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_servers import SOURCE
from starter import Starter

pytestmark = pytest.mark.slow

MAKE = """
from millpond import lake, sql
orders = lake.table("shop.orders")
orders.create([{"id": 1, "who": "ann"}, {"id": 2, "who": "bob"}]).tag("monday").branch("try")
orders.append([{"id": 3, "who": "cem"}], branch="try")
orders.append(sql("select 4::bigint as id, 'dan' as who"))
orders.overwrite(orders.scan(where="id > 1"))
try:
    orders.create(orders.scan())
except Exception as error:
    print(error)
print([orders.scan(at=at).num_rows for at in (None, "monday", "try", orders.history()[0]["time"])])
try:
    orders.append([{"id": 5, "who": "eve"}], branch="tri")
except Exception as error:
    print(error, "-", error.hint)
"""


def python(starter: Starter, science_python: Path, code: str) -> str:
    environment = {**os.environ, **starter.env, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([str(science_python), "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def made(starter: Starter, science_python: Path) -> Iterator[str]:
    yield python(starter, science_python, MAKE)
    python(starter, science_python, "from millpond import lake; lake.table('shop.orders').drop()")


def test_a_table_is_read_at_branches_tags_and_times(made: str) -> None:
    again, rows, refused = made.splitlines()
    assert again == "there is a table shop.orders already"
    assert rows == "[2, 2, 3, 2]"
    assert refused == "shop.orders has no branch tri - did you mean try?"


@pytest.mark.usefixtures("made")
def test_sql_reads_the_same(starter: Starter) -> None:
    query = """
        select o.who, t.id from lake.shop.orders at (branch => 'try') t
        left join lake.shop.orders o using (id) order by t.id
    """
    found = json.loads(starter.millpond("sql", query, "--json").stdout)
    assert found == [{"who": None, "id": 1}, {"who": "bob", "id": 2}, {"who": None, "id": 3}]
    query = "select count(*) as n from lake.shop.orders at (version => 'monday') where orders.id > 1"
    assert json.loads(starter.millpond("sql", query, "--json").stdout) == [{"n": 1}]
    assert "orders" in starter.millpond("sql", "show all tables").stdout


@pytest.mark.usefixtures("made")
def test_a_version_that_is_not_there_is_told(starter: Starter) -> None:
    found = starter.millpond("sql", "from lake.shop.orders at (tag => 'mnday')", check=False)
    assert found.returncode == 3
    assert "query:1:6: shop.orders has no branch or tag mnday" in found.stderr
    assert "did you mean monday?" in found.stderr
