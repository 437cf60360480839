"""The interface ``iceberg``: what every catalogue of tables has to do, for PyIceberg as it comes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

# With nothing given but the environment: what user code does.
CODE = """
import json
from concurrent.futures import ThreadPoolExecutor
import pyarrow as pa
from pyiceberg.catalog import load_catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError

catalogue = load_catalog()
catalogue.create_namespace_if_not_exists("conformance")
rows = pa.table({"id": [1, 2], "who": ["ann", "bob"]})
found = {}
table = catalogue.create_table("conformance.people", schema=rows.schema)
try:
    table.append(rows)
    found["rows"] = catalogue.load_table("conformance.people").scan().to_arrow().to_pylist()
    found["listed"] = [".".join(name) for name in catalogue.list_tables("conformance")]

    first = table.current_snapshot().snapshot_id
    table.manage_snapshots().create_tag(first, "v1").create_branch(first, "dev").commit()
    table.append(rows, branch="dev")
    found["branch"] = [table.scan().use_ref(name).count() for name in ("main", "dev", "v1")]

    table.append(rows)
    found["earlier"] = [table.scan(snapshot_id=first).count(), table.scan().count()]

    with table.update_schema() as change:
        change.add_column("age", __import__("pyiceberg.types").types.LongType())
    found["columns"] = catalogue.load_table("conformance.people").scan().to_arrow().column_names

    def append(number):
        refused = 0
        while True:
            try:
                catalogue.load_table("conformance.people").append(rows)
                return refused
            except CommitFailedException:
                refused += 1

    before = table.refresh().scan().count()
    with ThreadPoolExecutor(4) as several:
        list(several.map(append, range(8)))
    found["lost"] = before + 8 * len(rows) - table.refresh().scan().count()
finally:
    catalogue.drop_table("conformance.people")
try:
    catalogue.load_table("conformance.people")
except NoSuchTableError:
    found["dropped"] = True

try:
    load_catalog("other", **{**catalogue.properties, "client.secret-access-key": "wrong", "credential": "a:b"}
        ).list_namespaces()
    found["wrong key"] = "came in"
except Exception as error:
    found["wrong key"] = type(error).__name__
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(environment: dict[str, str], science_python: Path) -> dict[str, Any]:
    done = subprocess.run(
        [str(science_python), "-c", CODE],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_rows_come_back(found: dict[str, Any]) -> None:
    assert found["rows"] == [{"id": 1, "who": "ann"}, {"id": 2, "who": "bob"}]


def test_tables_are_listed_until_they_are_dropped(found: dict[str, Any]) -> None:
    assert "conformance.people" in found["listed"]
    assert found["dropped"]


def test_a_branch_has_rows_of_its_own_and_a_tag_stays(found: dict[str, Any]) -> None:
    assert found["branch"] == [2, 4, 2]


def test_an_earlier_snapshot_is_read_as_it_was(found: dict[str, Any]) -> None:
    assert found["earlier"] == [2, 4]


def test_columns_are_added(found: dict[str, Any]) -> None:
    assert found["columns"] == ["id", "who", "age"]


def test_writers_at_once_lose_no_rows(found: dict[str, Any]) -> None:
    assert found["lost"] == 0


def test_a_wrong_key_is_refused(found: dict[str, Any]) -> None:
    assert found["wrong key"] != "came in"
