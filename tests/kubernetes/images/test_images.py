"""What a Dockerfile and its context hold, what name follows, and what the command says. Nothing is built."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from millpond.catalogue import Catalogue
from millpond.cli.root import root
from millpond.model.cluster import Cluster
from millpond.model.errors import MillpondError
from millpond.serving.controller.fetch import digest_of
from millpond.targets.kubernetes.images.builder import Builder
from millpond.targets.kubernetes.images.context import context
from millpond.targets.kubernetes.images.model import Model, model_context, model_image
from millpond.targets.kubernetes.images.names import image

CATALOGUE = Catalogue()
SERVICES = [entry for entry in CATALOGUE if entry.component.service.processes]
IDS = [entry.component.name for entry in SERVICES]
ENTRY = CATALOGUE.entry("seaweedfs")


@pytest.fixture(autouse=True)
def usual_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MILLPOND_BASE_IMAGE", raising=False)
    monkeypatch.delenv("MILLPOND_CUDA_BASE_IMAGE", raising=False)


@pytest.mark.parametrize("entry", SERVICES, ids=IDS)
def test_every_shipped_component_has_an_image(entry) -> None:
    found = context(entry)
    install = entry.component.service.install
    text = found.files["Dockerfile"].decode()
    assert text.count("FROM ") == 2, "what installs is not in what runs"
    assert text.rstrip().endswith("USER 10001:10001")
    assert f'image.version="{entry.component.version}"' in text
    assert f'image.licenses="{entry.component.licence}"' in text
    assert found.files["locks/requirements.lock"] == entry.resource(install.pip).read_bytes()
    assert ("millpond/__init__.py" in dict(found)) == install.millpond


@pytest.mark.parametrize("entry", SERVICES, ids=IDS)
def test_nothing_of_a_registry_is_in_a_context(entry, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dict(context(entry))
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "HTTPS_PROXY", "MILLPOND_MAVEN_REPOSITORY"):
        monkeypatch.setenv(name, "https://somebody:s3cr3t@packages.example/simple")
    after = dict(context(entry))
    assert before == after
    assert not any(b"s3cr3t" in content or b"packages.example" in content for content in after.values())
    assert "ARG" not in after["Dockerfile"].decode()


def test_the_name_says_what_is_inside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = image(ENTRY, Cluster())
    assert name == image(Catalogue().entry("seaweedfs"), Cluster())
    assert name.startswith(f"millpond-seaweedfs:{ENTRY.component.version}-")
    assert image(ENTRY, Cluster(registry="example.org/team/")) == f"example.org/team/{name}"
    cuda = image(ENTRY, Cluster(), cuda=True)
    assert cuda.endswith("-cuda") and cuda.removesuffix("-cuda") != name
    monkeypatch.setenv("MILLPOND_BASE_IMAGE", "example.org/base:1")
    assert image(ENTRY, Cluster()) != name


def test_a_changed_lock_changes_the_name(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"thing==1.0 --hash=sha256:{'a' * 64}\n")
    first = context(ENTRY, lock=lock).digest
    lock.write_text(f"thing==1.0 --hash=sha256:{'b' * 64}\n")
    assert first != context(ENTRY, lock=lock).digest != context(ENTRY).digest


def test_a_lock_without_hashes_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("thing==1.0\n")
    with pytest.raises(MillpondError, match=r"seaweedfs: the lock requirements\.lock is not complete"):
        context(ENTRY, lock=lock)


def test_a_lock_builds_from_source_only_what_it_names(tmp_path: Path) -> None:
    assert context(ENTRY).files["locks/build.rules"] == b"--no-build\n"
    lock = tmp_path / "requirements.lock"
    pins = "".join(f"{name}==1.0 --hash=sha256:{'a' * 64}\n" for name in ("one", "two", "three"))
    lock.write_text(f"# build: two\n# exclude-newer: 2026-11-15\n{pins}")
    rules = context(ENTRY, lock=lock).files["locks/build.rules"].decode().split()
    assert rules == ["--only-binary", "one", "--only-binary", "three", "--exclude-newer", "2026-11-15"]


def test_an_image_says_nothing_of_a_base_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def labels(cuda: bool) -> str:
        lines = context(ENTRY, cuda=cuda).files["Dockerfile"].decode().splitlines()
        return "\n".join(line for line in lines if line.startswith("LABEL"))

    assert 'base.name="docker.io/library/python' in labels(False)
    assert 'base.name="docker.io/nvidia/cuda' in labels(True)
    monkeypatch.setenv("MILLPOND_BASE_IMAGE", "registry.example/private/base:1")
    monkeypatch.setenv("MILLPOND_CUDA_BASE_IMAGE", "registry.example/private/cuda:1")
    assert "private" not in labels(False) + labels(True)


def model_of(folder: Path, content: str = "a model") -> Model:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(content)
    return Model("Flights", "3", "models:/Flights/3", digest_of(folder), folder)


def test_a_model_is_a_layer_on_serving(tmp_path: Path) -> None:
    found = model_context(CATALOGUE.entry("serving"), model_of(tmp_path / "a"), None, "millpond-serving:1")
    lines = found.files["Dockerfile"].decode().splitlines()
    assert lines[:3] == [
        "FROM millpond-serving:1",
        "COPY model /opt/millpond/model",
        "COPY origin.json /opt/millpond/origin.json",
    ]
    assert not found.package and "locks/requirements.lock" not in found.files
    found.write(tmp_path / "out")
    assert (tmp_path / "out/model/MLmodel").read_text() == "a model"


def test_a_model_has_its_own_packages_in_its_image(tmp_path: Path) -> None:
    serving = CATALOGUE.entry("serving")
    lock = serving.resource("environments/xgboost/requirements.lock")
    found = model_context(serving, model_of(tmp_path / "a"), lock, "millpond-serving:1")
    lines = found.files["Dockerfile"].decode().splitlines()
    assert found.files["locks/requirements.lock"] == lock.read_bytes()
    assert found.package
    assert lines[-1] == "USER 10001:10001" and lines.count("USER 10001:10001") == 1
    assert "millpond-serving:1" not in lines


def test_other_files_of_a_model_are_another_image(tmp_path: Path) -> None:
    def name(content: str, registry: str = "") -> str:
        model = model_of(tmp_path / content, content)
        return model_image(model, model_context(CATALOGUE.entry("serving"), model, None, "s:1"), registry)

    assert name("one") == name("one") != name("two")
    assert name("one").startswith("millpond-model-flights:3-")
    assert name("one", "example.org/team") == f"example.org/team/{name('one')}"


def test_names_are_found_fast() -> None:
    for entry in SERVICES:
        image(entry, Cluster())
    begun = time.perf_counter()
    for entry in SERVICES:
        image(entry, Cluster())
    assert (time.perf_counter() - begun) / len(SERVICES) < 0.05


def test_the_command_writes_contexts_and_says_names(tmp_path: Path) -> None:
    done = CliRunner().invoke(root, ["-C", str(tmp_path), "images", "seaweedfs", "-o", "out", "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["image"] == image(ENTRY, Cluster())
    assert (tmp_path / "out/seaweedfs/Dockerfile").read_bytes() == context(ENTRY).files["Dockerfile"]


def test_an_image_of_the_flavours_own_has_nothing_to_build(tmp_path: Path) -> None:
    upstream = f"example.org/store@sha256:{'a' * 64}"
    text = f"name: small\ntarget: kubernetes\ncomponents:\n  seaweedfs: {{image: '{upstream}'}}\n"
    (tmp_path / "millpond.yaml").write_text(text)
    done = CliRunner().invoke(root, ["-C", str(tmp_path), "images", "--json"])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert row["image"] == upstream
    assert "nothing to build" in row["why"]
    assert not (tmp_path / "images").exists()


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_a_docker_without_its_engine_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MillpondError, match="no tool that builds images works here") as caught:
        Builder.find()
    assert "docker: Cannot connect to the Docker daemon" in caught.value.details
    program(tmp_path, "buildah", "exit 0")
    assert Builder.find().tool == "buildah"


def test_a_failed_push_names_the_image_and_the_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "podman", '[ "$1" = push ] && { echo "unauthorized: no" >&2; exit 1; }; exit 0')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(MillpondError, match=r"example\.org/x:1 could not be pushed") as caught:
        Builder("podman").push("example.org/x:1")
    assert caught.value.hint == "sign in first: podman login REGISTRY"
