"""The sinks for Synapse and SQL Server, on a mock that speaks their protocol. No Synapse was asked."""

from __future__ import annotations

import pytest

from fake_sqlserver import fake_sqlserver

from .conftest import Project

pytestmark = pytest.mark.slow

STEPS = """
import pandas as pd

def table(rows):
    frame = pd.DataFrame({"n": range(rows), "x": 0.5, "late": [True] * rows, "who": "it's\\nbøb"})
    frame["day"] = pd.to_datetime("2013-01-01 10:00")
    frame.loc[0, ["x", "who"]] = [None, None]
    return frame

def long(rows): return pd.DataFrame({"who": ["a", "b" * 5000]})
"""
PIPELINE = """
name: warehouse
parameters: {rows: {type: integer, default: 1200}}
steps:
  table:
    call: "steps:CALL"
    with: {rows: "${parameters.rows}"}
    outputs: {table: {type: table, sink: synapse, table: sales.orders}}
"""


def test_a_table_is_replaced_whole_or_not_at_all(project: Project) -> None:
    with fake_sqlserver() as server:
        server.database.execute("ATTACH ':memory:' AS sales")
        project.environment = server.environment
        project.write(PIPELINE.replace("CALL", "table"), STEPS)
        record = project.run()
        assert record.steps["table"].error is None, project.printed("table")
        assert record.steps["table"].outputs["table"].rows == 1200
        query = "SELECT count(*), sum(n), count(who), max(who), max(day), min(late) FROM sales.orders"
        whole = (1200, sum(range(1200)), 1199, "it's\nbøb", "2013-01-01T10:00:00", 1)
        assert server.database.execute(query).fetchone() == whole
        made = next(text for text in server.said if "CREATE TABLE [sales].[orders]" in text)
        assert "[n] bigint NULL, [x] float(53) NULL, [late] bit NULL, [who] nvarchar(4000) NULL" in made
        assert project.run().steps["table"].status == "cached"

        project.write(PIPELINE.replace("CALL", "long"), STEPS)
        error = project.run().steps["table"].error or {}
        assert "a text of 5000 characters is longer" in error["message"]
        assert server.database.execute(query).fetchone() == whole, "what failed changed nothing"

        project.write(PIPELINE.replace("CALL", "table"), STEPS)
        server.database.execute("DELETE FROM dbo.millpond_written")
        assert project.run({"rows": 3}).steps["table"].status == "done"
        assert server.database.execute("SELECT count(*) FROM sales.orders").fetchone() == (3,)


def test_a_wrong_password_is_told_without_it(project: Project) -> None:
    with fake_sqlserver() as server:
        project.environment = {**server.environment, "SQLCMDPASSWORD": "not this one"}
        project.write(PIPELINE.replace("CALL", "table"), STEPS)
        error = project.run().steps["table"].error or {}
        assert "Login failed for user 'mill'" in error["message"]
        assert "not this one" not in str(error)
