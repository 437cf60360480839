"""Queries as steps, and sinks that are tables, on a real platform."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from starter import Starter

PIPELINE = """
name: tables
parameters: {least: {type: integer, default: 2}, town: {type: string, default: "'s-Gravenhage"}}
steps:
  make:
    call: steps:make
    outputs: {readings: {type: table, path: raw/tables/readings.parquet}}
  sums:
    use: sql
    query: |
      select town, count(*) as readings, sum(celsius) as celsius from readings
      where celsius >= getvariable('least') group by town order by town
    inputs: {readings: "${make.readings}"}
    with: {least: "${parameters.least}"}
    outputs:
      sums:
        type: table
        path: results/tables/sums.parquet
        forks:
          - {sink: postgres, table: reports.sums}
          - {sink: table, table: reports.sums}
  one:
    use: sql
    file: one.sql
    inputs: {sums: "${sums.sums}"}
    with: {town: "${parameters.town}"}
    outputs: {celsius: {type: number}}
  outside:
    use: sql
    query: select sum(readings) from 'lake://results/tables/sums.parquet'
    after: [sums]
    outputs: {readings: {type: number}}
  wrong:
    use: sql
    query: select nothing from sums
    inputs: {sums: "${sums.sums}"}
    outputs: {x: {type: json}}
results: {One: "${one.celsius}", Outside: "${outside.readings}"}
"""
STEPS = """
import pandas as pd

def make():
    return pd.DataFrame({"town": ["Lier", "Lier", "'s-Gravenhage"], "celsius": [1.0, 4.0, 7.5]})
"""


@pytest.mark.slow
def test_a_query_is_a_step_and_its_rows_become_tables(starter: Starter, tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "steps.py").write_text(textwrap.dedent(STEPS))
    (tmp_path / "one.sql").write_text("select celsius from sums where town = getvariable('town')")
    starter.millpond("run", str(tmp_path), check=False)
    record = starter.json("runs", "show", "last", "--json")
    errors = {name: step["error"] for name, step in record["steps"].items() if step["error"]}
    assert list(errors) == ["wrong"], errors
    assert "nothing" in errors["wrong"]["message"]
    assert record["results"] == {"One": 7.5, "Outside": 2}
    for table in ("postgres.reports.sums", "lake.reports.sums"):
        rows = starter.json("sql", f"select * from {table} order by town", "--json")
        assert [row["town"] for row in rows] == ["'s-Gravenhage", "Lier"]
        assert [row["celsius"] for row in rows] == [7.5, 4.0]

    starter.millpond("run", str(tmp_path), check=False)
    again = starter.json("runs", "show", "last", "--json")["steps"]
    assert again["sums"]["status"] == "cached", "both tables still have these rows"
    assert again["outside"]["status"] == "done", "nobody knows whether what it reads has changed"
