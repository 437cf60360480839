"""The life of a deployment by the command line alone, on the starter platform with real models."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from starter import MILLPOND, Starter

pytestmark = pytest.mark.slow

IRISES = (
    "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n"
    "5.1,3.5,1.4,0.2\n"
    "6.7,3.0,5.2,2.3\n"
)


@pytest.fixture(scope="module")
def other(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model as another version: a revision of its own."""
    folder = tmp_path_factory.mktemp("models") / "iris"
    shutil.copytree(models / "iris", folder)
    (folder / "NOTES").write_text("The second one\n")
    return folder


@pytest.fixture
def name(starter: Starter) -> Iterator[str]:
    """A deployment's name that is free again afterwards."""
    found = f"iris-{uuid.uuid4().hex[:6]}"
    yield found
    starter.millpond("undeploy", found, "--yes", check=False)
    (starter.project / "deployments" / f"{found}.yaml").unlink(missing_ok=True)


def traffic(starter: Starter, name: str) -> dict[str, int]:
    return {item["revisionName"]: item["percent"] for item in starter.json("traffic", name, "--json")}


def predictions(starter: Starter, name: str, *words: str) -> str:
    found = subprocess.run(
        [str(MILLPOND), "predict", name, *words],
        cwd=starter.project,
        input=IRISES,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_deploy_canary_promote_rollback_undeploy(
    starter: Starter, models: Path, other: Path, name: str, tmp_path: Path
) -> None:
    file = starter.project / "deployments" / f"{name}.yaml"
    printed = starter.millpond("deploy", str(models / "iris"), "--name", name, "--dry-run").stdout
    assert not file.exists()
    assert starter.millpond("deployments", name, check=False).returncode == 1

    deployed = starter.millpond("deploy", str(models / "iris"), "--name", name)
    assert file.read_text() == printed
    assert deployed.stdout == f"http://{name}.localhost:{starter.gateway_port}\n"
    assert traffic(starter, name) == {f"{name}-00001": 100}

    table = tmp_path / "irises.csv"
    table.write_text(IRISES)
    assert predictions(starter, name, "--csv", str(table)) == "0\n2\n"
    assert predictions(starter, name, "--csv", "-") == "0\n2\n"
    assert predictions(starter, name, "--csv", "-", "--protocol", "v1") == "0\n2\n"
    body = tmp_path / "body.json"
    body.write_text(json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]}))
    assert json.loads(predictions(starter, name, "--data", str(body), "--json")) == {"predictions": [0]}

    starter.millpond("deploy", str(other), "--name", name, "--canary", "10")
    assert traffic(starter, name) == {f"{name}-00002": 10, f"{name}-00001": 90}
    asked = starter.millpond("predict", name, "--data", str(body), "--revision", f"{name}-00002")
    assert f"{name}-00002 answered" in asked.stderr
    starter.millpond("traffic", name, "30")
    assert traffic(starter, name) == {f"{name}-00002": 30, f"{name}-00001": 70}
    starter.millpond("promote", name)
    assert traffic(starter, name) == {f"{name}-00002": 100}
    starter.millpond("rollback", name)
    assert traffic(starter, name) == {f"{name}-00001": 100}
    assert predictions(starter, name, "--csv", "-") == "0\n2\n"
    assert f"model {name} version 1 is ready" in starter.millpond("logs", f"{name}-00001").stdout

    starter.millpond("undeploy", name, "--yes")
    assert name not in starter.millpond("deployments").stdout
    assert file.exists()


def test_a_wrong_model_is_one_sentence_and_leaves_no_file(starter: Starter, name: str) -> None:
    found = starter.millpond("deploy", "models:/no-such-model@champion", "--name", name, check=False)
    assert found.returncode == 1
    (error,) = [line for line in found.stderr.splitlines() if line.startswith("error:")]
    assert error.startswith(f"error: {name} is not deployed: ")
    assert "models:/no-such-model@champion" in error
    assert not (starter.project / "deployments" / f"{name}.yaml").exists()
    assert name not in starter.millpond("deployments").stdout


def test_a_model_that_does_not_load_keeps_the_one_that_serves(
    starter: Starter, models: Path, name: str
) -> None:
    starter.millpond("deploy", str(models / "iris"), "--name", name)
    found = starter.millpond("deploy", str(models / "unloadable"), "--name", name, check=False)
    assert f"error: {name} stays with {name}-00001: " in found.stderr
    assert "this model never loads" in found.stderr
    assert predictions(starter, name, "--csv", "-") == "0\n2\n"
    assert str(models / "iris") in (starter.project / "deployments" / f"{name}.yaml").read_text()
    assert "this model never loads" in starter.millpond("deployments", name).stdout


def test_a_shadow_is_compared(starter: Starter, models: Path, other: Path, name: str) -> None:
    starter.millpond("deploy", str(models / "iris"), "--name", name)
    begun = starter.millpond("deploy", str(other), "--name", name, "--shadow")
    assert f"hint: `millpond compare {name}`" in begun.stderr
    compared = _compared(starter, name)
    assert compared["agreement"] == 1.0
    assert compared["shadow_errors"] == 0
    shown = starter.millpond("compare", name).stdout
    assert "requests that both answered" in shown
    assert "100 % of the answers" in shown


def _compared(starter: Starter, name: str) -> Any:
    """The comparison, asked for until it has seen some of the predictions that are made meanwhile."""
    deadline = time.monotonic() + 60
    while True:
        assert predictions(starter, name, "--csv", "-") == "0\n2\n"
        found = starter.json("compare", name, "--json")
        if found["pairs"] >= 2:
            return found
        assert time.monotonic() < deadline, found


def test_a_rollout_is_watched_to_its_end(starter: Starter, models: Path, other: Path, name: str) -> None:
    starter.millpond("deploy", str(models / "iris"), "--name", name)
    plan = {"steps": [50, 100], "interval": "1s", "requests": 1, "latency": 1000}
    begun = starter.millpond("deploy", str(other), "--name", name, "--rollout", json.dumps(plan))
    assert f"{name}-00002 has 50 % of the requests" in begun.stderr
    words = [str(MILLPOND), "rollout", "status", name, "--watch"]
    with subprocess.Popen(words, cwd=starter.project, stdout=subprocess.PIPE, text=True) as watching:
        deadline = time.monotonic() + 60
        while watching.poll() is None:
            predictions(starter, name, "--csv", "-")
            assert time.monotonic() < deadline, starter.millpond("rollout", "status", name).stdout
        assert watching.stdout is not None
        lines = watching.stdout.read().splitlines()
    assert watching.returncode == 0
    assert lines[0].startswith(f"{name}-00002 at 50 %")
    assert lines[-1].startswith(f"{name}-00002 at 100 %, promoted")
    assert traffic(starter, name) == {f"{name}-00002": 100}
