"""A platform that was stopped comes back with everything that it had."""

from __future__ import annotations

import pytest
import requests

from starter import EXAMPLES, Starter

pytestmark = [pytest.mark.slow]

NAME = "mlflow-wachttijden-tree"


def predict(starter: Starter) -> float:
    answer = requests.post(
        f"http://127.0.0.1:{starter.gateway_port}/v2/models/{NAME}/infer",
        data=(EXAMPLES / "waiting-times/testdata.json").read_bytes(),
        headers={"Host": f"{NAME}.localhost"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return float(answer.json()["outputs"][0]["data"][0])


def test_nothing_to_do_is_said(starter: Starter) -> None:
    plan = starter.json("plan", "--json")
    assert {change["act"] for change in plan["changes"]} == {"keep"}


def test_deployments_runs_and_secrets_survive(starter: Starter) -> None:
    starter.run(EXAMPLES / "waiting-times", date="2022-09-09")
    before = predict(starter)
    environment = starter.json("env", "--format", "json")
    runs = [entry["id"] for entry in starter.json("runs", "--json")]
    starter.millpond("down")
    states = {entry["name"]: entry["state"] for entry in starter.json("status", "--json")["components"]}
    assert set(states.values()) == {"stopped"}
    starter.millpond("up", timeout=300)
    starter.wait_for_deployment(NAME)
    assert predict(starter) == before
    assert starter.json("env", "--format", "json") == environment
    assert [entry["id"] for entry in starter.json("runs", "--json")] == runs
