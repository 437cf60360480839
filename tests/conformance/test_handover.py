"""The same pipeline file, run by every engine: the results are equal, to the byte where they are files."""

from __future__ import annotations

import json
from typing import Any

import pytest

from starter import EXAMPLES, Starter

pytestmark = pytest.mark.slow

_FILES = ("flights", "weather", "planes", "airports", "joined", "learn", "judge")
_VALUES = ("metrics", "baselines", "importance", "predictions")


def test_flights_come_to_the_same_on_dask_prefect_and_airflow(workflows: Starter) -> None:
    found = {"dask": _ports(workflows.run(EXAMPLES / "flights", trees="20"))}
    for engine in ("prefect", "airflow"):
        # Nothing is to be taken over from the run before.
        (workflows.project / ".millpond/runs/results.sqlite").unlink()
        words = ("--engine", engine, "-p", "trees=20", "--wait", "--json")
        done = workflows.millpond("pipeline", "submit", str(EXAMPLES / "flights"), *words, timeout=600)
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["state"] == "succeeded"
        record = workflows.json("runs", "show", told["run"], "--json")
        assert record["status"] == "succeeded" and record["engine"] == engine
        assert {step["status"] for step in record["steps"].values()} == {"done"}
        found[engine] = _ports(record)
    assert found["prefect"] == found["dask"]
    assert found["airflow"] == found["dask"]


def _ports(record: dict[str, Any]) -> dict[str, Any]:
    """What can be compared of a run's outputs: models have another id each time they are registered."""
    ports = {
        port: reference
        for step in record["steps"].values()
        for port, reference in step["outputs"].items()
        if port in _FILES + _VALUES
    }
    assert set(ports) == set(_FILES + _VALUES)
    return {port: reference["sha256"] for port, reference in ports.items()}
