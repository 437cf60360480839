"""Real data through a model's whole first life, on a whole platform."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import requests

from starter import EXAMPLES, Starter, reported

pytestmark = pytest.mark.slow

EXAMPLE = EXAMPLES / "flights"


@pytest.fixture(scope="module")
def record(starter: Starter) -> dict[str, Any]:
    return starter.run(EXAMPLE)


def tracking(starter: Starter, call: str, **query: str) -> dict[str, Any]:
    auth = (starter.env["MLFLOW_TRACKING_USERNAME"], starter.env["MLFLOW_TRACKING_PASSWORD"])
    uri = f"{starter.env['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/{call}"
    found = requests.get(uri, params=query, auth=auth, timeout=60)
    assert found.ok, found.text
    return dict(found.json())


def test_all_flights_are_taken(record: dict[str, Any]) -> None:
    (flights,) = record["steps"]["load_flights"]["outputs"].values()
    assert flights["rows"] == 336_776
    day = record["parameters"]["date"].replace("-", "/")
    assert flights["uri"].startswith(f"s3://raw/flights/{day}/")


def test_the_model_is_registered_under_an_alias_with_its_run(
    record: dict[str, Any], starter: Starter
) -> None:
    version = tracking(starter, "registered-models/alias", name="flights", alias="champion")["model_version"]
    run = tracking(starter, "runs/get", run_id=version["run_id"])["run"]["data"]
    metrics = {metric["key"]: metric["value"] for metric in run["metrics"]}
    assert {"mae", "rmse", "r2"} <= set(metrics)
    assert run["params"]
    tags = {tag["key"] for tag in run["tags"]}
    assert any("commit" in tag or "code" in tag for tag in tags)


def test_plots_data_versions_and_environment_are_logged(record: dict[str, Any], starter: Starter) -> None:
    version = tracking(starter, "registered-models/alias", name="flights", alias="champion")["model_version"]
    files: list[str] = []
    queue = [""]
    while queue:
        listed = tracking(starter, "artifacts/list", run_id=version["run_id"], path=queue.pop())
        for entry in listed.get("files", []):
            (queue if entry.get("is_dir") else files).append(entry["path"])
    assert any(path.endswith(".png") for path in files)
    assert any("requirements" in path or "environment" in path for path in files)


def test_the_deployment_answers_through_the_gateway(record: dict[str, Any], starter: Starter) -> None:
    where = f"http://127.0.0.1:{starter.gateway_port}/v2/models/flights"
    found = requests.get(where, headers={"Host": "flights.localhost"}, timeout=30)
    assert found.status_code == 200
    assert {column["name"] for column in found.json()["inputs"]} >= {"carrier", "distance"}
    shared = requests.get(where, headers={"Host": "serving.localhost"}, timeout=30)
    assert shared.json()["name"] == "flights"


def test_two_runs_give_the_same_metric(record: dict[str, Any], starter: Starter) -> None:
    again = starter.run(EXAMPLE, force="all")
    assert all(step["status"] == "done" for step in again["steps"].values())
    assert reported(again)["metrics"] == reported(record)["metrics"]


def test_the_run_is_recorded(record: dict[str, Any], starter: Starter) -> None:
    assert record["id"] in {entry["id"] for entry in starter.json("runs", "--json")}
    for step in record["steps"].values():
        assert step["code"] or step["kind"] == "deploy"
        assert step["seconds"] >= 0
    shown = starter.millpond("runs", "show", record["id"]).stdout
    assert "train" in shown


def test_one_sign_in_opens_the_tracking_server(record: dict[str, Any], starter: Starter) -> None:
    """The platform's credentials at the gateway, which presents the tracking server's own."""
    where = f"http://127.0.0.1:{starter.gateway_port}/api/2.0/mlflow/experiments/search"
    headers = {"Host": "mlflow.localhost"}
    query = {"max_results": "5"}
    assert requests.get(where, params=query, headers=headers, timeout=30).status_code == 401
    user, password = starter.credentials("gateway")
    found = requests.get(where, params=query, headers=headers, auth=(user, password), timeout=30)
    assert found.status_code == 200, found.text
    own = f"{starter.env['MLFLOW_TRACKING_USERNAME']}:{starter.env['MLFLOW_TRACKING_PASSWORD']}"
    basic = {"Authorization": f"Basic {base64.b64encode(own.encode()).decode()}"}
    assert requests.get(where, params=query, headers={**headers, **basic}, timeout=30).status_code == 200
