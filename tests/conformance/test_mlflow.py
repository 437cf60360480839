"""The interface ``mlflow``: what every provider of tracking and a registry has to do."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.slow


class Tracking:
    """The server's REST interface, as its documentation names it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.uri = environment["MLFLOW_TRACKING_URI"]
        self.auth = (environment["MLFLOW_TRACKING_USERNAME"], environment["MLFLOW_TRACKING_PASSWORD"])

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        found = requests.post(f"{self.uri}/api/2.0/mlflow/{path}", json=body, auth=self.auth, timeout=60)
        assert found.ok, found.text
        return dict(found.json())

    def get(self, path: str, **query: str) -> dict[str, Any]:
        found = requests.get(f"{self.uri}/api/2.0/mlflow/{path}", params=query, auth=self.auth, timeout=60)
        assert found.ok, found.text
        return dict(found.json())


@pytest.fixture
def tracking(environment: dict[str, str]) -> Tracking:
    return Tracking(environment)


def test_it_is_healthy_without_credentials(environment: dict[str, str]) -> None:
    assert requests.get(f"{environment['MLFLOW_TRACKING_URI']}/health", timeout=30).text == "OK"


def test_nobody_reads_without_credentials(environment: dict[str, str]) -> None:
    uri = f"{environment['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/experiments/search"
    assert requests.post(uri, json={"max_results": 1}, timeout=30).status_code == 401
    wrong = requests.post(uri, json={"max_results": 1}, auth=("admin", "wrong"), timeout=30)
    assert wrong.status_code == 401


def test_a_run_keeps_what_was_logged(tracking: Tracking) -> None:
    experiment = tracking.post("experiments/create", name=f"conformance-{uuid.uuid4().hex[:8]}")[
        "experiment_id"
    ]
    run = tracking.post("runs/create", experiment_id=experiment, start_time=1)["run"]["info"]["run_id"]
    tracking.post("runs/log-parameter", run_id=run, key="depth", value="6")
    for step, value in enumerate((3.0, 2.0, 1.0)):
        tracking.post("runs/log-metric", run_id=run, key="loss", value=value, timestamp=step, step=step)
    tracking.post("runs/update", run_id=run, status="FINISHED", end_time=2)
    found = tracking.get("runs/get", run_id=run)["run"]
    assert found["data"]["params"] == [{"key": "depth", "value": "6"}]
    assert found["data"]["metrics"][0]["value"] == 1.0
    history = tracking.get("metrics/get-history", run_id=run, metric_key="loss")["metrics"]
    assert [entry["value"] for entry in history] == [3.0, 2.0, 1.0]


_CLIENT = """
import json, sys, mlflow, numpy as np
from mlflow import MlflowClient
name = sys.argv[1]
class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input):
        return np.asarray(model_input) * 2
mlflow.set_experiment(name)
with mlflow.start_run() as run:
    mlflow.log_text("hello", "notes.txt")
    first = mlflow.pyfunc.log_model(name="model", python_model=Twice(), registered_model_name=name)
    mlflow.pyfunc.log_model(name="model", python_model=Twice(), registered_model_name=name)
client = MlflowClient()
client.set_registered_model_alias(name, "champion", 1)
before = client.get_model_version_by_alias(name, "champion").version
client.set_registered_model_alias(name, "champion", 2)
loaded = mlflow.pyfunc.load_model(f"models:/{name}@champion", dst_path=".")
print(json.dumps({
    "text": mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes.txt"),
    "aliases": [before, client.get_model_version_by_alias(name, "champion").version],
    "answer": np.asarray(loaded.predict(np.array([[1.5]]))).tolist(),
}))
"""


def test_models_are_logged_registered_aliased_and_loaded(
    environment: dict[str, str], science_python: Path, tmp_path: Path
) -> None:
    """By the client that users have, artifacts and all, with no key of the store in its environment."""
    names = {key: value for key, value in environment.items() if key.startswith("MLFLOW_")}
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    script = tmp_path / "client.py"
    script.write_text(_CLIENT)
    done = subprocess.run(
        [str(science_python), str(script), f"conformance-{uuid.uuid4().hex[:8]}"],
        env={**keep, **names, "GIT_PYTHON_REFRESH": "quiet"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {"text": "hello", "aliases": ["1", "2"], "answer": [[3.0]]} or found == {
        "text": "hello",
        "aliases": [1, 2],
        "answer": [[3.0]],
    }
