"""Processes as requests ask for them: several, none, and some again, behind a real Envoy."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from millpond_gateway import Gateway
from serving_platform import ServingPlatform, document, until

from model_servers import ask

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}

pytestmark = pytest.mark.slow


def scaled(name: str, model: Path, window: str = "3s", **predictor: Any) -> dict[str, Any]:
    found = document(name, model)
    found["metadata"]["annotations"] = {"autoscaling.knative.dev/window": window}
    found["spec"]["predictor"] |= predictor
    return found


def test_none_is_left_without_requests_and_the_next_ones_wait_for_it(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(scaled("iris", models / "iris", minReplicas=0, maxReplicas=2), wait=60)
    own = {"host": f"iris.localhost:{gateway.port}"}
    assert ask(gateway.port, "/v1/models/iris:predict", IRIS, headers=own).json == {"predictions": [0]}
    until(lambda: routed.services() == {}, 40)
    status = client.get("iris")["status"]
    assert status["conditions"][-1]["status"] == "True", "asleep is not broken"
    assert status["revisions"][0]["replicas"] == []

    answers: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(
                ask(gateway.port, "/v1/models/iris:predict", IRIS, headers=own, timeout=60)
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.json for answer in answers] == [{"predictions": [0]}] * 8
    assert list(routed.services()) == ["serving-iris-00001"]


def test_more_are_started_for_many_requests_at_once_and_stopped_after(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    wanted = scaled("weary", models / "weary", minReplicas=1, maxReplicas=3, scaleTarget=2)
    client.apply(wanted, wait=60)
    own = {"host": f"weary.localhost:{gateway.port}"}
    done = threading.Event()
    statuses: list[int] = []

    def ask_on() -> None:
        while not done.is_set():
            answer = ask(
                gateway.port, "/v1/models/weary:predict", {"instances": [[0.1]]}, headers=own, timeout=60
            )
            statuses.append(answer.status)

    threads = [threading.Thread(target=ask_on) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: sum(state == "ready" for state in routed.services().values()) == 3, 60)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    until(lambda: list(routed.services()) == ["serving-weary-00001"], 60)
    assert set(statuses) == {200}


def test_a_killed_process_is_waited_for(routed: ServingPlatform, gateway: Gateway, models: Path) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    own = {"host": f"iris.localhost:{gateway.port}"}
    os.kill(routed.pid("serving-iris-00001"), signal.SIGKILL)
    until(lambda: routed.services().get("serving-iris-00001") != "ready", 10)
    answer = ask(gateway.port, "/v1/models/iris:predict", IRIS, headers=own, timeout=60)
    assert answer.json == {"predictions": [0]}, "it waits for the process to come back"
