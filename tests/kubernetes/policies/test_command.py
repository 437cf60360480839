"""`millpond policies`: lists, shows, checks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millpond.cli import entry
from millpond.cli.exit_codes import ExitCode
from millpond.targets.kubernetes.policies import policies


def test_the_list_says_which_hold(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "millpond.yaml").write_text(
        "name: lab\ncomponents: {seaweedfs: {}}\npolicies: {skip: [selinux], labels: [team]}\n"
    )
    assert entry.run(["-C", str(tmp_path), "policies", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capfd.readouterr().out)}
    assert list(found) == list(policies())
    assert not found["selinux"]["holds"]
    assert found["pod-enforce-labels"]["holds"]
    assert found["pod-enforce-labels"]["values"] == {"labels": ["team"]}
    assert not found["restrict-hostnames"]["holds"]


def test_one_is_shown_with_its_rule_and_examples(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert entry.run(["-C", str(tmp_path), "policies", "host-network-ports"]) == 0
    shown = capfd.readouterr().out
    for part in ("violation contains", "variables.spec", "hostNetwork: true", "use a Service"):
        assert part in shown
    assert entry.run(["-C", str(tmp_path), "policies", "host-network-port"]) == ExitCode.FAILED
    assert "did you mean host-network-ports?" in capfd.readouterr().err


def test_manifests_of_a_folder_are_checked(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "service.yaml").write_text(
        "kind: List\nitems:\n"
        "  - {kind: Service, metadata: {name: mlflow}, spec: {type: LoadBalancer}}\n"
        "  - {kind: Service, metadata: {name: dask}, spec: {type: ClusterIP}}\n"
    )
    assert entry.run(["-C", str(tmp_path), "policies", "check", str(tmp_path), "--json"]) == 3
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["name"], found["path"]) == ("mlflow", "spec.type")
    assert entry.run(["-C", str(tmp_path), "policies", "check", str(tmp_path / "none.yaml")]) == 2
    assert "cannot be read" in capfd.readouterr().err
