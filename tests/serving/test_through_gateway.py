"""Deployments behind a real Envoy: both addresses, a replacement under load, a gateway that is away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from millpond_gateway import Gateway
from serving_platform import ServingPlatform, document

from millpond.serving.client import ServingError, condition
from model_servers import ask

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}

pytestmark = pytest.mark.slow


def test_a_deployment_answers_at_both_hosts_and_loses_nothing_when_replaced(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
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
        while len(routed.services()) > 1:
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
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    gateway.stop()
    with pytest.raises(ServingError, match="gateway"):
        client.apply(document("iris", models / "iris", OMP_NUM_THREADS="1"), wait=60)
    found = client.get("iris")
    assert condition(found, "PredictorReady") == "True"
    assert condition(found, "IngressReady") == "False"
    assert list(routed.services()) == ["serving-iris-00001"]
    assert client.predict("iris", IRIS, protocol="v1", gateway=False) == {"predictions": [0]}
    gateway.start()
    routed.wait_ready("iris")
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
