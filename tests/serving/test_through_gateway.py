"""Deployments behind a real Envoy: both addresses, a replacement under load, a gateway that is away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_platform import ServingPlatform, document

from millpond.serving.client import ServingError, condition
from model_servers import ask

sys.path.append(str(Path(__file__).parent.parent / "gateway"))
from millpond_gateway import LOCK, TOKEN, Gateway

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}

pytestmark = pytest.mark.slow


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert uv, "uv is a dependency of millpond and has to be there"
    folder = tmp_path / "gateway-env"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin/python"
    install = [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(LOCK)]
    subprocess.run(install, check=True)
    (tmp_path / "gateway").mkdir()
    found = Gateway(python, tmp_path / "gateway")
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def platform(science_python: Path, gateway: Gateway, tmp_path: Path) -> Iterator[ServingPlatform]:
    environment = {
        "MILLPOND_GATEWAY_API": gateway.api,
        "MILLPOND_GATEWAY_TOKEN": TOKEN,
        "MILLPOND_GATEWAY_URL": f"http://localhost:{gateway.port}",
    }
    found = ServingPlatform(science_python, tmp_path, environment)
    try:
        found.up()
        yield found
    finally:
        found.down()


def test_a_deployment_answers_at_both_hosts_and_loses_nothing_when_replaced(
    platform: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = platform.client
    found = client.apply(document("iris", models / "iris"), wait=60)
    assert found["status"]["url"] == f"http://iris.localhost:{gateway.port}"
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
    shared = {"host": f"serving.localhost:{gateway.port}"}
    for path in ("/v1/models/iris:predict", "/v2/models/iris"):
        body = IRIS if path.endswith("predict") else None
        assert ask(gateway.port, path, body, headers=shared).status == 200

    done = threading.Event()
    statuses: list[Any] = []

    def predict() -> None:
        while not done.is_set():
            own = {"host": f"iris.localhost:{gateway.port}"}
            try:
                statuses.append(ask(gateway.port, "/v1/models/iris:predict", IRIS, headers=own).status)
            except OSError as error:
                statuses.append(error)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for cores in ("1", "2"):
            client.apply(document("iris", models / "iris", OMP_NUM_THREADS=cores), wait=60)
        while len(platform.services()) > 1:
            assert not done.wait(0.05)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(statuses) > 100
    assert set(statuses) == {200}

    client.delete("iris")
    own = {"host": f"iris.localhost:{gateway.port}"}
    assert ask(gateway.port, "/v2/models/iris", headers=own).status == 404


def test_without_its_gateway_the_old_revision_keeps_serving(
    platform: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = platform.client
    client.apply(document("iris", models / "iris"), wait=60)
    gateway.stop()
    with pytest.raises(ServingError, match="gateway"):
        client.apply(document("iris", models / "iris", OMP_NUM_THREADS="1"), wait=60)
    found = client.get("iris")
    assert condition(found, "PredictorReady") == "True"
    assert condition(found, "IngressReady") == "False"
    assert list(platform.services()) == ["serving-iris-00001"]
    assert client.predict("iris", IRIS, protocol="v1", gateway=False) == {"predictions": [0]}
    gateway.start()
    platform.wait_ready("iris")
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
