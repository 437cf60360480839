"""A Delta table that another program wrote to the lake is read by ``millpond sql``."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from millpond.targets.local.installs import InstallRequest, InstallStore
from starter import Starter

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent / "delta"
TABLE = "delta_scan('lake://raw/delta/flights')"


@pytest.fixture(scope="module")
def written(lake: Starter) -> Starter:
    """The platform, with a table that the deltalake library has written to its store."""
    request = InstallRequest("delta", HERE, {"pip": "requirements.lock"})
    python = asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"
    found = subprocess.run(
        [str(python), str(HERE / "write.py"), "s3://raw/delta/flights"],
        env={**os.environ, **lake.env},
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stdout) == (0, "2"), found.stderr
    return lake


def asked(lake: Starter, query: str) -> list[dict[str, object]]:
    """The rows that a query gives."""
    found: list[dict[str, object]] = lake.json("sql", query, "--format", "json")
    return found


def test_a_delta_table_is_read_as_it_is_now(written: Starter) -> None:
    found = asked(
        written, f"select year, count(*) as n, min(id) as least from {TABLE} group by all order by 1"
    )
    assert found == [{"year": 2012, "n": 90, "least": 10}, {"year": 2013, "n": 50, "least": 100}]


def test_it_is_joined_with_files_and_written_to_the_lake(written: Starter) -> None:
    (written.project / "carriers.csv").write_text("carrier,name\nAA,Alpha\nBB,Beta\n")
    written.millpond("lake", "cp", "./carriers.csv", "raw/delta-carriers.csv")
    query = (
        f"select name, count(*) as n from {TABLE} join 'lake://raw/delta-carriers.csv' using (carrier)"
        " where year = 2013 group by all order by all"
    )
    assert asked(written, query) == [{"name": "Alpha", "n": 25}, {"name": "Beta", "n": 25}]
    written.millpond("sql", query, "--output", "lake://results/delta.parquet")
    assert asked(written, "select sum(n) as n from 'lake://results/delta.parquet'") == [{"n": 50}]
