"""Runs a script beside an example's own modules, in the environment that its steps run in."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_servers import SOURCE
from starter import EXAMPLES

HERE = Path(__file__).parent
Probe = Callable[..., Any]


@pytest.fixture(scope="session")
def probe(science_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """``probe(example, script, *arguments)``: what the script prints last, read as JSON."""

    def run(example: str, script: str, *arguments: str) -> Any:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MLFLOW"))}
        folder = tmp_path_factory.mktemp(Path(script).stem)
        environment = {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, EXAMPLES / example))),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
            # On a busy machine, threads that wait for each other take longer than one.
            "OMP_NUM_THREADS": "1",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        }
        found = subprocess.run(
            [str(science_python), str(HERE / script), *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert found.returncode == 0, found.stderr
        return json.loads(found.stdout.splitlines()[-1])

    return run
