"""Inference graphs and the monitor's pages, as a client meets them: through the gateway."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from millpond_gateway import Gateway
from serving_platform import ServingPlatform, document, until

from millpond.serving import edits
from millpond.serving.client import ServingError, condition
from model_servers import ask

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}

pytestmark = pytest.mark.slow


def graph(name: str, kind: str, *services: str) -> dict[str, Any]:
    steps = [{"serviceName": service, "name": service} for service in services]
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name},
        "spec": {"nodes": {"root": {"routerType": kind, "steps": steps}}},
    }


def v1(name: str, model: Path) -> dict[str, Any]:
    found = document(name, model)
    found["spec"]["predictor"]["model"]["protocolVersion"] = "v1"
    return found


def test_a_graph_calls_deployments_through_the_gateway(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    first = client.apply_graph(graph("both", "Ensemble", "iris", "again"))
    assert first["status"]["conditions"][0]["message"] == "there is no deployment iris, again"
    for name in ("iris", "again"):
        client.apply(v1(name, models / "iris"), wait=60)
    until(lambda: condition(client.graphs()[0], "Ready") == "True")
    own = {"host": f"both.localhost:{gateway.port}"}
    assert ask(gateway.port, "/", IRIS, headers=own).json == {
        "iris": {"predictions": [0]},
        "again": {"predictions": [0]},
    }
    seldon = ask(
        gateway.port,
        "/api/v1.0/predictions",
        {"data": {"ndarray": IRIS["instances"]}},
        headers={"host": f"iris.localhost:{gateway.port}"},
    )
    assert seldon.json["data"]["ndarray"] == [0]
    with pytest.raises(ServingError, match="both is the name of a graph"):
        client.apply(v1("both", models / "iris"))
    with pytest.raises(ServingError, match="iris is the name of a deployment"):
        client.apply_graph(graph("iris", "Sequence", "again"))
    client.delete_graph("both")
    assert client.graphs() == []
    assert ask(gateway.port, "/", IRIS, headers=own).status == 404


def test_the_monitors_pages_are_behind_the_sign_in(routed: ServingPlatform, gateway: Gateway) -> None:
    own = {"host": f"monitor.localhost:{gateway.port}"}
    until(lambda: ask(gateway.port, "/healthz", headers=own).status == 401)
    assert ask(routed.ports_of["monitor"], "/deployments/iris/window?revision=a").status == 401


def test_a_controller_that_is_killed_in_a_promotion_leaves_one_of_two_states(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    """Killed at many moments of promotions and rollbacks, with requests all the while: none is lost."""
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    client.apply(edits.canary(document("iris", models / "iris", OMP_NUM_THREADS="1"), 30), wait=60)
    done = threading.Event()
    statuses: list[Any] = []

    def ask_on() -> None:
        own = {"host": f"iris.localhost:{gateway.port}"}
        while not done.is_set():
            try:
                statuses.append(ask(gateway.port, "/v1/models/iris:predict", IRIS, headers=own).status)
            except OSError as error:
                statuses.append(repr(error))

    thread = threading.Thread(target=ask_on)
    thread.start()
    try:
        for moment in (0.0, 0.02, 0.05, 0.1, 0.2, 0.4):
            found = client.get("iris")
            beside = len(found["status"]["components"]["predictor"]["traffic"]) == 2
            client.apply(edits.promoted(found) if beside else edits.rolled_back(found))
            time.sleep(moment)
            routed.kill_controller()
            routed.up()
            until(
                lambda: (
                    condition(client.get("iris"), "Ready") == "True"
                    and client.get("iris")["status"]["observedGeneration"]
                    == client.get("iris")["metadata"]["generation"]
                )
            )
            predictor = client.get("iris")["status"]["components"]["predictor"]
            assert sum(item["percent"] for item in predictor["traffic"]) == 100
    finally:
        done.set()
        thread.join()
    assert set(statuses) == {200} and len(statuses) > 50


def test_a_hanging_model_takes_down_nothing_but_itself(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    hanging = document("echo", models / "echo")
    hanging["spec"]["predictor"]["timeout"] = 1
    client.apply(hanging, wait=60)
    own = {"host": f"echo.localhost:{gateway.port}"}
    body = {"instances": [{"number": 1.0, "sleep": 30.0}]}
    assert ask(gateway.port, "/v1/models/echo:predict", body, headers=own).status == 504
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
    pid = routed.pid("serving-echo-00001")
    os.kill(pid, signal.SIGKILL)
    until(
        lambda: condition(client.get("echo"), "Ready") == "True" and routed.pid("serving-echo-00001") != pid
    )
    body["instances"][0]["sleep"] = 0.0
    assert ask(gateway.port, "/v1/models/echo:predict", body, headers=own).status == 200
