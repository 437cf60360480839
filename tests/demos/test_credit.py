"""The credit example, from the package that has the loans to what the deployment answers."""

from __future__ import annotations

import pytest

from starter import EXAMPLES, Starter


@pytest.mark.slow
def test_loans_become_a_model_that_answers(starter: Starter) -> None:
    record = starter.run(EXAMPLES / "credit")
    assert record["status"] == "succeeded"
    steps = record["steps"]
    assert steps["load"]["outputs"]["loans"]["rows"] == 4454
    assert steps["transform"]["outputs"]["judge"]["rows"] == 891
    assert record["results"]["Area under the ROC curve"] > 0.83
    matrix = record["results"]["Confusion matrix"]
    assert sum(row["said: paid back"] + row["said: went bad"] for row in matrix) == 891
    assert matrix[0]["said: paid back"] > 500, "most of those who paid are believed"
    assert record["results"]["Asked"] == {
        "A clerk with savings": "will pay it back",
        "A debtor with records": "will not",
    }
    forked = steps["predict"]["outputs"]["predictions+lake"]
    assert forked["uri"] == "s3://results/credit/2024/06/19/predictions.csv"

    strict = starter.run(EXAMPLES / "credit", least="0.95")
    assert strict["status"] == "succeeded"
    states = {name: step["status"] for name, step in strict["steps"].items()}
    assert states["train"] == "cached"
    assert [states[name] for name in ("promote", "serve", "ask")] == ["skipped"] * 3
