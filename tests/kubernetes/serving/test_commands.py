"""The commands for models on a flavour whose target is kubernetes; the API is a stand-in in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from millpond.cli.root import root
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.api import Cluster

from .conftest import ClusterInMemory

FLAVOUR = """
name: demo
target: kubernetes
kubernetes:
  routes: {kind: gateway, host: example.org, gateway: infra/public}
components: {seaweedfs: , postgres: , mlflow: , serving: }
"""
Mill = Callable[..., Result]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ClusterInMemory:
    found = ClusterInMemory(quick=True)
    for version in ("1", "2"):
        answer = {"uri": f"models:/flights/{version}", "version": version, "identity": version}
        found.answers[f"models:/flights/{version}"] = {"exitCode": 0, "message": json.dumps(answer)}
    monkeypatch.setattr(Cluster, "connect", lambda *_, **__: found)
    return found


@pytest.fixture
def mill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: ClusterInMemory) -> Mill:
    (tmp_path / "millpond.yaml").write_text(FLAVOUR)
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> Result:
        return CliRunner().invoke(root, words, catch_exceptions=False)

    return called


def shares(mill: Mill) -> dict[str, int]:
    found = json.loads(mill("traffic", "flights", "--json").stdout)
    return {item["revisionName"]: item["percent"] for item in found}


def test_a_deployment_s_life(mill: Mill, cluster: ClusterInMemory, tmp_path: Path) -> None:
    made = mill("deploy", "models:/flights/1", "--name", "flights")
    assert made.exit_code == 0, made.output
    assert (tmp_path / "deployments/flights.yaml").is_file()
    assert "http://flights.example.org" in mill("deployments").stdout
    assert mill("deploy", "models:/flights/2", "--name", "flights", "--canary", "10").exit_code == 0
    assert shares(mill) == {"flights-00002": 10, "flights-00001": 90}
    assert mill("traffic", "flights", "40").exit_code == 0
    assert shares(mill) == {"flights-00002": 40, "flights-00001": 60}
    assert mill("promote", "flights").exit_code == 0
    assert shares(mill) == {"flights-00002": 100}
    assert mill("rollback", "flights").exit_code == 0
    assert shares(mill) == {"flights-00001": 100}
    assert mill("undeploy", "flights", "--yes").exit_code == 0
    assert cluster.objects == {}
    assert "nothing is deployed here" in mill("deployments").output


GRAPH = """
apiVersion: serving.kserve.io/v1alpha1
kind: InferenceGraph
metadata: {name: tree}
spec:
  nodes:
    root: {routerType: Sequence, steps: [{serviceName: flights}, {serviceName: flights, data: $response}]}
"""


def test_a_graph_s_life(mill: Mill, cluster: ClusterInMemory, tmp_path: Path) -> None:
    (tmp_path / "tree.yaml").write_text(GRAPH)
    assert mill("deploy", "models:/flights/1", "--name", "flights").exit_code == 0
    made = mill("deploy", "-f", "tree.yaml")
    assert made.exit_code == 0, made.output
    assert "graph tree answers" in made.stderr
    assert made.stdout == "http://tree.example.org\n"
    (line,) = [line for line in mill("graph", "list").stdout.splitlines() if line.startswith("tree")]
    assert line.split()[:4] == ["tree", "ready", "Sequence", "1"]
    assert "calls flights" in mill("undeploy", "flights", "--yes").stderr
    assert "there is no deployment flights" in mill("graph", "list").stdout
    assert mill("graph", "delete", "tree").exit_code == 0
    assert cluster.objects == {}


def test_an_experiment_needs_the_log_and_is_read_from_it(mill: Mill, cluster: ClusterInMemory) -> None:
    assert mill("deploy", "models:/flights/1", "--name", "flights", "--log").exit_code == 0
    made = mill("deploy", "models:/flights/2", "--name", "flights", "--ab", "--log")
    assert made.exit_code == 0, made.output
    assert shares(mill) == {"flights-00002": 50, "flights-00001": 50}
    cluster.answers["ask"] = {"exitCode": 1, "message": "no predictions of flights are in the lake"}
    with pytest.raises(MillpondError, match="no predictions of flights are in the lake"):
        mill("experiment", "flights")


def test_what_needs_a_controller_is_refused_with_what_to_do(mill: Mill, tmp_path: Path) -> None:
    assert mill("deploy", "models:/flights/1", "--name", "flights").exit_code == 0
    for words, said in (
        (["deploy", "models:/flights/2", "--name", "flights", "--rollout"], "rollout, which is not done"),
        (["deploy", "models:/flights/2", "--name", "flights", "--ab"], "experiment without a logger"),
    ):
        with pytest.raises(MillpondError, match=said) as caught:
            mill(*words)
        assert caught.value.hint
    assert shares(mill) == {"flights-00001": 100}
