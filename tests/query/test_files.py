"""Files of the lake and beside the query; results; limits; and what is said when a query is wrong."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from model_servers import SOURCE
from query.conftest import Ask

pytestmark = pytest.mark.slow


@pytest.fixture
def raw(tmp_path: Path, ask: Ask) -> Path:
    folder = tmp_path / "lake/raw"
    folder.mkdir()
    (folder / "a.csv").write_text("id,who\n1,ann\n2,bob\n")
    (folder / "b.csv").write_text("id,who\n3,cem\n")
    (folder / "c.json").write_text('[{"id": 1, "n": 10}, {"id": 3, "n": 30}]')
    return folder


@pytest.mark.usefixtures("raw")
def test_files_of_the_lake_are_joined(ask: Ask) -> None:
    found = ask(
        "select c.n, f.who from 'lake://raw/*.csv' f"
        " join read_json('lake://raw/c.json') c using (id) order by n"
    )
    assert found == [{"n": 10, "who": "ann"}, {"n": 30, "who": "cem"}]


@pytest.mark.usefixtures("raw")
def test_a_bucket_and_path_is_a_place_where_a_file_is_read(ask: Ask) -> None:
    assert ask("select count(*) as n, 'raw/a.csv' as said from 'raw/a.csv'") == [
        {"n": 2, "said": "raw/a.csv"}
    ]
    assert ask("select count(*) as n from read_csv(['raw/a.csv', 'raw/b.csv'])") == [{"n": 3}]


@pytest.mark.usefixtures("raw")
def test_a_local_file_comes_before_the_lake(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/a.csv").write_text("id\n7\n")
    assert ask("from 'raw/a.csv'") == [{"id": 7}]
    assert ask("select count(*) as n from 'lake://raw/a.csv'") == [{"n": 2}]


@pytest.mark.parametrize("style", ["csv", "json", "parquet"])
def test_results_go_into_the_lake(ask: Ask, style: str) -> None:
    place = f"lake://made/x.{style}"
    assert ask("select range as id from range(5)", style=style, output=place) == 5
    assert ask(f"select count(*) as n, max(id)::int as most from '{place}'") == [{"n": 5, "most": 4}]


def test_a_result_that_fails_leaves_what_stood_there(ask: Ask) -> None:
    place = "lake://made/x.csv"
    ask("select 1 as id", style="csv", output=place)
    wrong = "select cast(if(range < 200000, '1', 'x') as int) as id from range(300000)"
    found = ask(wrong, style="csv", output=place)
    assert "could not convert string 'x' to INT32" in found["message"]
    assert ask(f"from '{place}'") == [{"id": 1}]


def test_local_databases_are_attached_read_only(ask: Ask, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id int)")
        database.execute("insert into orders values (4)")
    assert ask("from shop.orders", attach=["shop=shop.db"]) == [{"id": 4}]
    found = ask("insert into shop.orders values (5)", attach=["shop=shop.db"])
    assert "read-only" in found["message"]


def test_a_name_is_never_a_variable_of_the_code_that_asks(ask: Ask) -> None:
    """DuckDB would look for variables of Python; `rows` is one where the query is carried out."""
    assert "rows does not exist" in ask("from rows")["message"]


def test_rows_are_limited(ask: Ask) -> None:
    assert len(ask("from range(100)", rows=7)) == 7


def test_time_is_limited(ask: Ask) -> None:
    found = ask("select count(*) from range(1000000000000)", timeout=0.2)
    assert found["message"] == "the query was stopped after 0.2 s"


def test_memory_is_limited(ask: Ask) -> None:
    # A list cannot be spilled to the disk.
    found = ask("select list(range::varchar || 'xxxxxxxxxxxxxxxx') from range(30000000)", memory="50MB")
    assert found["message"].startswith("the query needs more memory than it may take")


@pytest.mark.usefixtures("raw")
@pytest.mark.parametrize(
    ("query", "place", "message", "hint"),
    [
        ("select who,\n whoo from 'raw/a.csv'", (2, 2), "whoo", "did you mean who?"),
        ("from 'lake://raw/aa.csv'", (1, 6), "there is no file", "a.csv?"),
        ("select 'é' as é, , 2", (1, 18), "syntax error", None),
        ("with people as (select 1) from poeple", (1, 32), "table with name poeple", "SHOW ALL TABLES"),
        ("from shp.orders", (1, 6), '"shp"', "did you mean shop?"),
    ],
)
def test_a_wrong_query_is_told_with_its_place(
    ask: Ask, tmp_path: Path, query: str, place: tuple[int, int], message: str, hint: str | None
) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (id int)")
    found = ask(query, attach=["shop=shop.db"])
    assert (found["line"], found["column"], found["code"]) == (*place, 3)
    assert message in found["message"]
    assert hint is None or hint in found["hint"]


def test_extensions_come_from_packages_and_nothing_is_fetched(ask: Ask) -> None:
    # A query that names Iceberg has its extension and Avro's; this process has no network.
    loaded = ask(
        "select extension_name as name, installed as iceberg from duckdb_extensions()"
        " where loaded and install_mode <> 'STATICALLY_LINKED'"
    )
    assert {one["name"] for one in loaded} == {"avro", "iceberg"}
    assert "failed to download" in ask("install spatial")["message"]
    found = ask("select st_point(1, 2)")
    assert "st_point does not exist" in found["message"] or "spatial" in found["message"]


def test_a_repository_is_read_at_a_branch_a_tag_and_a_commit(
    ask: Ask, tmp_path: Path, sql_python: Path
) -> None:
    code = """
from millpond import lake
people = lake.create_repo("people")
def put(text, **more):
    with people.commit("more", **more) as change:
        change.write("raw/a.csv", text)
        change.write("raw/b.csv", "id\\n9\\n")
put(b"id\\n1\\n")
people.tag("first")
people.branch("try")
put(b"id\\n1\\n2\\n", branch="try")
print(people.at("try").id)
"""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "MILLPOND_LAKE_ROOT": str(tmp_path / "lake")}
    made = subprocess.run(
        [str(sql_python), "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    for ref, rows in (("main", 2), ("first", 2), ("try", 3), (made.stdout.strip(), 3)):
        assert ask(f"select count(*) as n from 'lake://people@{ref}/raw/*.csv'") == [{"n": rows}]
    found = ask("from 'lake://people@trie/raw/a.csv'")
    assert "trie" in found["message"]
