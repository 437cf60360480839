"""Images that buildah really builds, and what runs in them as their own user."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from millpond.catalogue import Catalogue

pytestmark = pytest.mark.slow


def free_ports(names) -> dict[str, int]:
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    found = {name: listener.getsockname()[1] for name, listener in listeners.items()}
    for listener in listeners.values():
        listener.close()
    return found


def command_of(name: str, process: str, ports: dict[str, int], **others: str) -> list[str]:
    """The catalogue's command of a process, its expressions filled by hand."""
    component = Catalogue().entry(name).component
    told = {f"ports.{key}": str(value) for key, value in ports.items()}
    told |= {"bind": "127.0.0.1", "volumes.data": "/data", **others}
    told |= {f"options.{key}": str(option.default) for key, option in component.options.items()} | others
    words = component.service.processes[process].command
    return [re.sub(r"\$\{([^}]+)\}", lambda found: told[found[1]], word) for word in words]


def layers(place, name: str) -> list[str]:
    return json.loads(place.buildah("inspect", "--type", "image", name))["OCIv1"]["rootfs"]["diff_ids"]


def test_seaweedfs_serves(place, tmp_path: Path) -> None:
    ports = free_ports(Catalogue().entry("seaweedfs").component.service.ports)
    command = command_of("seaweedfs", "main", ports, **{"options.buckets": "raw"})
    env = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "made-for-this-test"}
    url = f"http://127.0.0.1:{ports['s3']}/healthz"
    with place.running(place.built("seaweedfs"), command, env, place.folder / "weed", url):
        pass


def test_mlflow_serves(place, port: int) -> None:
    data = place.folder / "mlflow"
    data.mkdir()
    (data / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:////data/auth.db\n"
        "admin_username = admin\nadmin_password = made-for-this-test\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    env = {
        "MLFLOW_BACKEND_STORE_URI": "sqlite:////data/mlflow.db",
        "MLFLOW_AUTH_CONFIG_PATH": "/data/auth.ini",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "made-for-this-test-as-well",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "GIT_PYTHON_REFRESH": "quiet",
    }
    command = command_of("mlflow", "main", {"http": port}, **{"artifacts.bucket": "modelartifacts"})
    with place.running(place.built("mlflow"), command, env, data, f"http://127.0.0.1:{port}/health"):
        pass


def test_serving_serves(place, port: int) -> None:
    command = command_of("serving", "router", {"router": port})
    env = {"MILLPOND_SERVING_URL": "http://127.0.0.1:9", "MILLPOND_SERVING_TOKEN": "made-for-this-test"}
    with place.running(
        place.built("serving"), command, env, place.folder / "serving", f"http://127.0.0.1:{port}/healthz"
    ):
        pass


SHOUTS = """
from importlib.metadata import version


class Shouts:
    def predict(self, data):
        return [version({package!r})] * len(data)
"""


@pytest.mark.parametrize(
    ("package", "requirements"), [("mlflow", None), ("humanize", "humanize==4.9.0\n")], ids=["shared", "own"]
)
def test_a_models_image_serves_it_without_a_registry(
    place, port: int, tmp_path: Path, package: str, requirements: str | None
) -> None:
    """One in the environment that serving has, on its image, and one that needs packages of its own."""
    folder = tmp_path / f"Uses_{package}"
    folder.mkdir()
    (folder / "model.py").write_text(SHOUTS.format(package=package))
    if requirements:
        (folder / "requirements.txt").write_text(requirements)
    if requirements is None:
        place.built("serving")
    command = ["images", "--model", f"./{folder.name}", "--format", "python", "--build", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "millpond", "-C", str(tmp_path), *command], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *base, row = json.loads(done.stdout)
    assert [each["image"] for each in base] == ([] if requirements else [place.built("serving")])
    assert row["image"].startswith(f"millpond-model-uses-{package}:")
    models = place.folder / f"models-{package}"
    fetch = ["python", "-m", "millpond.serving.cluster.pod", "fetch", "--uri", row["uri"]]
    serve = ["python", "-m", "millpond.serving.server", "--model-dir", "/data/model", "--name", "it"]
    serve += ["--format", "python", "--port", str(port)]
    both = (
        f"{shlex.join([*fetch, '--format', 'python', '--into', '/data/model'])} && exec {shlex.join(serve)}"
    )
    base_url = f"http://127.0.0.1:{port}/v2"
    with place.running(row["image"], ["sh", "-c", both], {}, models, f"{base_url}/health/ready"):
        asked = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "INT64", "data": [1]}]}
        request = urllib.request.Request(f"{base_url}/models/it/infer", json.dumps(asked).encode())
        answer = json.load(urllib.request.urlopen(request))
    said = answer["outputs"][0]["data"]
    assert said == ["4.9.0"] if requirements else said


def test_servings_image_loads_models(place) -> None:
    with place.container(place.built("serving")) as box:
        script = "import sklearn, mlflow, millpond.serving.server as s; print(s.__file__)"
        found = place.buildah("run", box, "--", "python", "-c", script)
    assert found.startswith("/opt/millpond/venv/lib/python3.11/site-packages/millpond/")


def test_an_image_runs_as_nobody_special(place) -> None:
    with place.container(place.built("seaweedfs")) as box:
        script = "id -u; id -g; touch /opt/millpond/x 2>/dev/null || echo closed; pwd; echo $HOME"
        assert place.buildah("run", box, "--", "sh", "-c", script).split() == [
            "10001", "10001", "closed", "/data", "/tmp",
        ]  # fmt: skip


def test_two_builds_are_one_image_that_knows_no_registry(place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a build is told of registries is neither in the image's description nor in its files."""
    first = layers(place, place.built("seaweedfs"))
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "98761")
    monkeypatch.setenv("UV_INDEX_SOMEWHERE_PASSWORD", "s3cr3t-of-this-test")
    name = place.build("seaweedfs")
    assert layers(place, name) == first
    assert "s3cr3t" not in place.buildah("inspect", "--type", "image", name)
    with place.container(name) as box:
        root = Path(place.buildah("mount", box))
        texts = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
        # What would be an environment or a configuration, left behind, is small.
        small = [path for path in texts if path.stat().st_size < 1 << 20]
        words = (b"s3cr3t-of-this-test", b"UV_HTTP_TIMEOUT=98761")
        assert small
        assert not [path for path in small if any(word in path.read_bytes() for word in words)]
        assert not list((root / "run").glob("secrets/*"))


def test_an_image_does_not_name_the_base_of_this_machine(place) -> None:
    told = json.loads(place.buildah("inspect", "--type", "image", place.built("seaweedfs")))
    base = os.environ["MILLPOND_BASE_IMAGE"]
    assert base not in json.dumps([told["OCIv1"]["config"], told["Docker"]["config"]])
