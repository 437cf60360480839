"""Two revisions beside each other, behind a real Envoy: canaries, shadows, arms that users stay with."""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from millpond_gateway import Gateway
from serving_platform import ServingPlatform, document, until

from millpond.serving import edits
from millpond.serving.annotations import Rollout
from millpond.serving.client import ServingError, condition
from model_servers import Answer, ask

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
PATH = "/v1/models/iris:predict"
REVISION = "x-millpond-revision"

pytestmark = pytest.mark.slow


def predict(gateway: Gateway, **headers: str) -> Answer:
    own = {"host": f"iris.localhost:{gateway.port}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return ask(gateway.port, PATH, IRIS, headers=own)


def newer(models: Path, cores: str = "1") -> dict[str, Any]:
    """Another revision of the same model: only its environment differs."""
    return document("iris", models / "iris", OMP_NUM_THREADS=cores)


@contextmanager
def traffic(gateway: Gateway, threads: int = 4) -> Iterator[list[Any]]:
    """Requests without a pause while the block runs; their statuses and revisions, or what went wrong."""
    done = threading.Event()
    seen: list[Any] = []

    def ask_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        headers = {"host": f"iris.localhost:{gateway.port}", "content-type": "application/json"}
        while not done.is_set():
            try:
                connection.request("POST", PATH, json.dumps(IRIS), headers)
                answer = connection.getresponse()
                answer.read()
                seen.append((answer.status, answer.getheader(REVISION)))
            except (OSError, http.client.HTTPException) as error:
                seen.append(repr(error))
                connection.close()

    running = [threading.Thread(target=ask_on) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield seen
    finally:
        done.set()
        for thread in running:
            thread.join()


def test_a_canary_gets_its_share_and_moves_without_a_lost_request(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    found = client.apply(edits.canary(newer(models), 20, header="x-beta"), wait=60)
    shown = found["status"]["components"]["predictor"]
    assert [(item["revisionName"], item["percent"]) for item in shown["traffic"]] == [
        ("iris-00002", 20),
        ("iris-00001", 80),
    ]
    assert shown["latestReadyRevision"] == "iris-00002"
    assert shown["latestRolledoutRevision"] == "iris-00001"

    answers = Counter(predict(gateway).headers[REVISION] for _ in range(600))
    assert abs(answers["iris-00002"] - 120) < 4.5 * math.sqrt(600 * 0.2 * 0.8), answers
    assert predict(gateway, x_beta="1").headers[REVISION] == "iris-00002"
    assert predict(gateway, x_revision="iris-00001").headers[REVISION] == "iris-00001"

    with traffic(gateway) as seen:
        found = client.apply(edits.with_traffic(client.get("iris"), 60), wait=60)
        assert found["status"]["revisions"][-1]["name"] == "iris-00002", "only its traffic has changed"
        client.apply(edits.promoted(found), wait=60)
        until(lambda: list(routed.services()) == ["serving-iris-00002"])
        back = client.apply(edits.rolled_back(client.get("iris")), wait=60)
        assert back["status"]["components"]["predictor"]["latestRolledoutRevision"] == "iris-00001"
        until(lambda: list(routed.services()) == ["serving-iris-00001"])
    assert len(seen) > 200
    assert {item[0] if isinstance(item, tuple) else item for item in seen} == {200}
    assert seen[-1][1] == "iris-00001"


def test_a_canary_that_dies_harms_nobody_for_long_and_is_left_by_a_rollback(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    client.apply(edits.canary(newer(models), 50), wait=60)
    os.kill(routed.pid("serving-iris-00002"), signal.SIGKILL)
    until(lambda: {predict(gateway).headers.get(REVISION) for _ in range(10)} == {"iris-00001"}, 20)
    until(lambda: "iris-00002" in {predict(gateway).headers.get(REVISION) for _ in range(20)}, 40)

    with pytest.raises(ServingError, match="this model never loads"):
        client.apply(edits.canary(document("iris", models / "unloadable"), 50), wait=60)
    assert {predict(gateway).headers.get(REVISION) for _ in range(20)} == {"iris-00001", "iris-00002"}
    found = client.apply(edits.rolled_back(client.get("iris")), wait=60)
    assert [item["percent"] for item in found["status"]["components"]["predictor"]["traffic"]] == [100]
    assert {predict(gateway).headers.get(REVISION) for _ in range(10)} == {"iris-00001"}


def test_users_stay_with_their_arm_while_it_grows(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    client.apply(edits.experiment(newer(models), "prices", 30, sticky="header:x-user"), wait=60)

    def arms() -> dict[str, str]:
        return {f"u{n}": predict(gateway, x_user=f"u{n}").headers[REVISION] for n in range(60)}

    first = arms()
    assert first == arms()
    assert set(first.values()) == {"iris-00001", "iris-00002"}
    client.apply(edits.with_traffic(client.get("iris"), 70), wait=60)
    grown = arms()
    chosen = {user for user, arm in first.items() if arm == "iris-00002"}
    assert chosen < {user for user, arm in grown.items() if arm == "iris-00002"}

    answer = predict(gateway)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert {predict(gateway, cookie=cookie).headers[REVISION] for _ in range(10)} == {
        answer.headers[REVISION]
    }


def test_a_shadow_answers_nobody_and_is_compared(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    client.apply(edits.shadow(newer(models)), wait=60)
    time.sleep(1.5)  # the model servers look once a second whether predictions are noted
    began = time.time() - 2
    for number in range(40):
        answer = predict(gateway, x_request_id=f"request-{number}")
        assert answer.headers[REVISION] == "iris-00001"

    def compared() -> dict[str, Any]:
        return client.measured("iris", "compare", since=began)

    until(lambda: compared().get("pairs", 0) >= 40, 30)
    found = compared()
    assert (found["agreement"], found["shadow_errors"]) == (1.0, 0)

    os.kill(routed.pid("serving-iris-00002"), signal.SIGSTOP)
    try:
        assert {predict(gateway).headers[REVISION] for _ in range(20)} == {"iris-00001"}
    finally:
        os.kill(routed.pid("serving-iris-00002"), signal.SIGCONT)


def test_a_rollout_goes_its_steps_by_itself(routed: ServingPlatform, gateway: Gateway, models: Path) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    plan = Rollout(steps=(20, 60, 100), interval=4.0, requests=20, latency=50.0)
    with traffic(gateway, 2) as seen:
        client.apply(edits.rollout(newer(models), plan), wait=60)
        until(lambda: (client.get("iris")["status"].get("rollout") or {}).get("phase") == "promoted", 60)
    found = client.get("iris")
    assert found["status"]["components"]["predictor"]["latestRolledoutRevision"] == "iris-00002"
    assert "canaryTrafficPercent" not in found["spec"]["predictor"]
    assert "annotations" not in found["metadata"] or not any(
        "rollout" in k for k in found["metadata"]["annotations"]
    )
    assert {item[0] if isinstance(item, tuple) else item for item in seen} == {200}


def test_a_rollout_of_a_model_that_fails_goes_back(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    plan = Rollout(steps=(50, 100), interval=3.0, requests=10, failures=2, latency=1000.0)
    with traffic(gateway, 2) as seen:
        client.apply(edits.rollout(document("iris", models / "moody"), plan), wait=60)
        until(lambda: (client.get("iris")["status"].get("rollout") or {}).get("phase") == "returned", 60)
        until(lambda: {item[1] for item in seen[-200:]} == {"iris-00001"})
    rollout = client.get("iris")["status"]["rollout"]
    assert "of its answers failed" in rollout["reason"] or "away from the other's" in rollout["reason"]
    assert condition(client.get("iris"), "Ready") == "True"


def test_a_hundred_thousand_requests_meet_ten_promotions_and_rollbacks(
    routed: ServingPlatform, gateway: Gateway, models: Path
) -> None:
    client = routed.client
    client.apply(document("iris", models / "iris"), wait=60)
    host = f"iris.localhost:{gateway.port}"
    command = [sys.executable, str(Path(__file__).parent / "steady_load.py"), str(gateway.port), host, PATH]
    load = subprocess.Popen(
        [*command, json.dumps(IRIS), "100000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        for _ in range(5):
            client.apply(edits.canary(newer(models), 50), wait=60)
            client.apply(edits.promoted(client.get("iris")), wait=60)
            client.apply(edits.rolled_back(client.get("iris")), wait=60)
        out, _ = load.communicate(timeout=300)
    finally:
        load.kill()
        load.wait()
    answers = json.loads(out)
    assert list(answers) == ["200"] and answers["200"] >= 100_000
