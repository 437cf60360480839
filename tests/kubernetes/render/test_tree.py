"""The tree of YAML: stable, without secrets, in an order that can be applied, never over somebody's files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.bundle import Bundle
from millpond.targets.kubernetes.render import tree

from .conftest import FLAVOURS, STARTER

Made = Callable[[str | dict[str, Any]], Bundle]

AGAIN = """
import hashlib, sys
from pathlib import Path
from millpond.flavours import loader
from millpond.targets.kubernetes.render import render, tree
source = loader.read(Path(sys.argv[1]))
catalogue = source.catalogue()
found = dict(tree.files(render(source.resolve(catalogue), catalogue)))
print(hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest())
"""


def test_two_processes_render_the_same_bytes(tmp_path: Path) -> None:
    flavour = tmp_path / "millpond.yaml"
    flavour.write_text(STARTER + "target: kubernetes\n")
    found = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed, "HOME": str(tmp_path / seed)}
        done = subprocess.run(
            [sys.executable, "-c", AGAIN, str(flavour)],
            env=env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_nothing_secret_is_in_it(bundle: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "open-sesame")
    monkeypatch.setenv("S3_KEY", "swordfish")
    paths = tree.write(bundle(FLAVOURS["own services"]), tmp_path / "out")
    text = "".join(path.read_text() for path in paths)
    assert "db.example.org" in text
    assert "open-sesame" not in text
    assert "swordfish" not in text
    assert not any(yaml.safe_load(path.read_text())["kind"] == "Secret" for path in paths)


def test_applied_in_the_order_of_its_names_each_object_finds_what_it_needs(bundle: Made) -> None:
    """kubectl takes files in the order of their names: the namespace first, a workload after its claims."""
    order = [(name, yaml.safe_load(text)) for name, text in tree.files(bundle(STARTER))]
    assert [name for name, _ in order] == sorted(name for name, _ in order)
    assert order[0][1]["kind"] == "Namespace"
    place = {(f["kind"], f["metadata"]["name"]): index for index, (_, f) in enumerate(order)}
    for workload in ("mlflow", "postgres", "seaweedfs"):
        kind = "Deployment" if workload == "mlflow" else "StatefulSet"
        assert place["NetworkPolicy", workload] < place[kind, workload]
        assert place["ServiceAccount", workload] < place[kind, workload]
    assert place["PersistentVolumeClaim", "postgres-data"] < place["StatefulSet", "postgres"]
    assert place["StatefulSet", "postgres"] < place["Deployment", "mlflow"]


def test_sync_waves_follow_the_wiring(bundle: Made) -> None:
    wave = {}
    for _, text in tree.files(bundle(STARTER)):
        found = yaml.safe_load(text)
        wave[found["kind"], found["metadata"]["name"]] = int(found["metadata"]["annotations"][tree.WAVE])
    job = next(name for kind, name in wave if kind == "Job" and name.startswith("postgres-for-mlflow"))
    assert wave["Namespace", "starter"] < wave["StatefulSet", "postgres"]
    assert wave["StatefulSet", "postgres"] < wave["Job", job] < wave["Deployment", "mlflow"]


def test_a_second_render_removes_what_the_first_one_wrote(bundle: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tree.write(bundle(STARTER), out)
    tree.write(bundle("{name: starter, components: {postgres: {}}}"), out)
    assert not list(out.rglob("*mlflow*"))
    assert list(out.rglob("*statefulset-postgres*"))


def test_somebody_elses_folder_is_left_alone(bundle: Made, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MillpondError, match="did not write"):
        tree.write(bundle(STARTER), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_two_names_that_would_be_one_are_refused(bundle: Made) -> None:
    flavour = {"components": {"my-store": {"component": "seaweedfs"}, "my_store": {"component": "seaweedfs"}}}
    with pytest.raises(MillpondError, match="same names on a cluster"):
        bundle(flavour)


def test_what_runs_on_one_machine_only_is_refused(bundle: Made) -> None:
    with pytest.raises(MillpondError, match="pipelines runs on one machine only") as told:
        bundle("name: mill\ntarget: kubernetes\ncomponents: [seaweedfs, pipelines]\n")
    assert told.value.hint == "set target: local, or leave it out"
