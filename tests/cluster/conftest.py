"""A project on a real cluster: the one of the kubeconfig, with the image that MILLPOND_TEST_IMAGE names.

The image is a Debian with Python that the nodes have already; nothing is pulled. Namespaces are made with
names of their own and are gone at the end. Asked for without a cluster or an image, the suite fails: it
never passes by being left out.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.targets.kubernetes.tools import kubectl

CATALOGUE = Path(__file__).parent / "catalogue"
IMAGE = "MILLPOND_TEST_IMAGE"
STORAGE = "MILLPOND_TEST_STORAGE_CLASS"


@pytest.fixture(scope="session")
def image() -> str:
    found = os.environ.get(IMAGE)
    if not found:
        pytest.fail(f"set {IMAGE} to an image with Debian and Python that the nodes have")
    return found


class Kubectl:
    """kubectl, as its user would call it."""

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [str(kubectl()), *arguments], input=stdin, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, *arguments: str) -> Any:
        """Objects as JSON."""
        return json.loads(self("get", "-o", "json", *arguments))


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    found = Kubectl()
    found("version")
    return found


class Project:
    """A folder with a flavour of the two components, and the commands that one gives in it."""

    def __init__(self, folder: Path, name: str, image: str, storage: str) -> None:
        self.folder = folder
        self.name = name
        self.components: dict[str, dict[str, Any]] = {"shelf": {}, "window": {}}
        self.image = image
        self.kubernetes: dict[str, Any] = {"pull_policy": "Never"}
        if storage:
            self.kubernetes["storage_class"] = storage
        self.write()

    def write(self, **components: Mapping[str, Any] | None) -> None:
        """Write the flavour; a component that is None leaves it."""
        for name, changes in components.items():
            if changes is None:
                self.components.pop(name, None)
            else:
                self.components[name] = dict(changes)
        flavour = {
            "name": self.name,
            "target": "kubernetes",
            "catalogue": [str(CATALOGUE)],
            "kubernetes": self.kubernetes,
            "components": {
                name: {"image": self.image, **options} for name, options in self.components.items()
            },
        }
        (self.folder / "millpond.yaml").write_text(yaml.safe_dump(flavour, sort_keys=False))

    def run(
        self, *arguments: str, check: bool = True, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        """Give a command."""
        env = {**os.environ, "NO_COLOR": "1", "HOME": os.environ.get("HOME", "/tmp")}
        done = subprocess.run(
            [sys.executable, "-m", "millpond", *arguments],
            cwd=self.folder,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"millpond {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        """The JSON that a command prints."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def base(self) -> None:
        """The platform as the suite begins with it, up."""
        self.write(shelf={}, window={})
        self.run("up")

    @contextmanager
    def forwarded(self, name: str) -> Iterator[str]:
        """The address of a component, by `millpond forward`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "millpond", "forward", name, "--json"],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield f"http://{json.loads(line)[0]['address']}"
        finally:
            process.terminate()
            process.wait(20)


def call(method: str, url: str, body: bytes | None = None) -> tuple[int, str]:
    """One request; the status and the text of its answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=body, method=method)
    try:
        with opener.open(request, timeout=20) as found:
            return found.status, found.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def reached(url: str) -> tuple[int, str]:
    """The answer to a GET; asked again while what stands behind the component is not led to yet."""
    found: tuple[int, str] = until(30, lambda: _unless(call("GET", url), 502)) or call("GET", url)
    return found


def _unless(answer: tuple[int, str], status: int) -> tuple[int, str] | None:
    return None if answer[0] == status else answer


def _storage(cluster: Kubectl, name: str) -> str:
    """The StorageClass of the suite's volumes; where there is none, a volume is made for its one claim."""
    if os.environ.get(STORAGE):
        return os.environ[STORAGE]
    classes = cluster.get("storageclasses")["items"]
    default = "storageclass.kubernetes.io/is-default-class"
    if any(each["metadata"].get("annotations", {}).get(default) == "true" for each in classes):
        return ""
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "64Mi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            # Every user may write there, and a claim of a volume of this kind is not given to a group.
            "hostPath": {"path": "/tmp", "type": "Directory"},
            "claimRef": {"namespace": name, "name": "shelf-data"},
        },
    }
    cluster("apply", "-f", "-", stdin=json.dumps(volume))
    return ""


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, cluster: Kubectl, image: str) -> Iterator[Project]:
    name = f"millpond-test-{secrets.token_hex(3)}"
    storage = _storage(cluster, name)
    found = Project(tmp_path_factory.mktemp("project"), name, image, storage)
    try:
        yield found
    finally:
        cluster("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        cluster("delete", "persistentvolume", name, "--ignore-not-found", "--wait=false")


def until(seconds: float, check: Any) -> Any:
    """What a check returns once that is true; asked again until then."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The suite runs when it is asked for, by ``-m cluster``; a run of all tests does not have it."""
    if "cluster" in (config.option.markexpr or ""):
        return
    left_out = [item for item in items if item.get_closest_marker("cluster")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("cluster")]
