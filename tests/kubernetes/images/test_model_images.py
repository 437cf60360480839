"""Models of a registry as images: which version is meant, what is in the context. Nothing is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REGISTER = Path(__file__).parents[2] / "serving/register_model.py"


def images(folder: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "millpond", "-C", str(folder), "images", *words],
        env={**{key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}, **env},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_registered_model_becomes_an_image(science_python: Path, tmp_path: Path) -> None:
    model = tmp_path / "iris"
    model.mkdir()
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "requirements.txt").write_text("mlflow\n")
    registry = f"sqlite:///{tmp_path}/mlflow.db"
    env = {**os.environ, "MLFLOW_TRACKING_URI": registry, "MLFLOW_DISABLE_TELEMETRY": "true"}
    made = [str(science_python), str(REGISTER), str(model), "Iris", "best"]
    subprocess.run(made, env=env, cwd=tmp_path, check=True, capture_output=True)
    done = images(tmp_path, "--model", "Iris@best", "--json", MLFLOW_TRACKING_URI=registry)
    assert done.returncode == 0, done.stderr
    serving, row = json.loads(done.stdout)
    assert serving["component"] == "serving"
    assert row["uri"] == "models:/Iris/1"
    assert row["image"].startswith("millpond-model-iris:1-")
    assert row["environment"].startswith("the shared environment has all of")
    context = tmp_path / "images/model-iris-1"
    assert (context / "model/MLmodel").read_text() == "flavors: {}\n"
    assert (context / "Dockerfile").read_text().startswith(f"FROM {serving['image']}\n")
    assert json.loads((context / "origin.json").read_text())["uri"] == "models:/Iris/1"

    done = images(tmp_path, "--model", "Iris/2", MLFLOW_TRACKING_URI=registry)
    assert "the registry has no models:/Iris/2" in done.stderr
    done = images(tmp_path, "--model", "Iris/1")
    assert "there is no registry to find models:/Iris/1 in" in done.stderr
