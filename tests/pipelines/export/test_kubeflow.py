"""An exported pipeline is what Kubeflow Pipelines takes, and what its own compiler makes of the same graph.

Its backend does not run here, and its local runners take no commands of containers: `standin` starts the
commands that the document says.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.pipelines.record import Runs
from millpond.targets.local.installs import InstallRequest, InstallStore

from ..conftest import Cluster, Project
from .conftest import export, write
from .standin import of_kubeflow, run

HERE = Path(__file__).parent / "kubeflow"


@pytest.fixture
def documents(tmp_path: Path) -> list[dict[str, Any]]:
    """The pipeline and its platform's part; the objects lie beside."""
    write(tmp_path)
    return export(tmp_path, "--to", "kubeflow", "-o", "numbers.yaml")


def _objects(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((folder / "numbers-objects.yaml").read_text()))


def test_the_objects_that_it_speaks_of_lie_beside_it(documents: list[dict[str, Any]], tmp_path: Path) -> None:
    import kubernetes_validate

    objects = _objects(tmp_path)
    for each in objects:
        kubernetes_validate.validate(each, "1.34", strict=True)
    names = {each["kind"]: each["metadata"]["name"] for each in objects}
    for pod in documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        assert pod["configMapAsVolume"][0]["configMapName"] == names["ConfigMap"]
        assert pod["pvcMount"][0]["constant"] == names["PersistentVolumeClaim"]


def test_nothing_secret_is_in_it(documents: list[dict[str, Any]]) -> None:
    for executor in documents[0]["deploymentSpec"]["executors"].values():
        env = {each["name"] for each in executor["container"]["env"]}
        assert "AWS_ENDPOINT_URL" in env and "AWS_SECRET_ACCESS_KEY" not in env
    pods = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    told = {key["envVar"] for each in pods["exec-twice"]["secretAsEnv"] for key in each["keyToEnv"]}
    assert {"AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD"} <= told


@pytest.mark.slow
def test_it_is_what_the_compiler_makes_of_the_same_graph(
    documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    request = InstallRequest("kfp", HERE, {"pip": "requirements.lock"})
    python = asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"
    done = subprocess.run(
        [str(python), str(HERE / "check.py"), str(tmp_path / "numbers.yaml")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["ours"]["pipeline"].pop("sdkVersion") == "millpond"
    assert found["theirs"]["pipeline"].pop("sdkVersion").startswith("kfp-")
    assert found["ours"] == found["theirs"]


def test_its_steps_come_to_a_run(tmp_path: Path, cluster: Cluster, documents: list[dict[str, Any]]) -> None:
    project = Project(tmp_path, cluster)
    tasks = of_kubeflow(documents[0], {"mark": str(tmp_path / "mark"), "many": [4, 5]})
    config_map = next(each for each in _objects(tmp_path) if each["kind"] == "ConfigMap")
    ended = run(tasks, config_map, tmp_path, cluster.python, project.env())
    assert set(ended.status.values()) == {"Succeeded"}, ended.logs
    record = Runs(tmp_path / "runs").list()[0]
    assert (record.status, record.engine) == ("succeeded", "kubeflow")
    assert record.results == {"total": 6 + 7 + 8} and record.parameters["many"] == [4, 5]
    # Kubeflow does not say which try it is; the record counts.
    assert record.steps["twice"].attempts == 2 and record.steps["never"].status == "skipped"
