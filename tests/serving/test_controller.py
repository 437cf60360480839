"""Deployments on a real supervisor: created, replaced without a gap, broken, crashed, deleted."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving_platform import TOKEN, ServingPlatform, document

from millpond.serving.client import ServingClient, ServingError, condition
from model_servers import ask

IRIS = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
BASE = "/apis/serving.kserve.io/v1beta1/namespaces/default/inferenceservices"

pytestmark = pytest.mark.slow


@pytest.fixture
def platform(science_python: Path, tmp_path: Path) -> Iterator[ServingPlatform]:
    found = ServingPlatform(science_python, tmp_path)
    try:
        found.up()
        yield found
    finally:
        found.down()


def revisions(found: dict[str, Any]) -> list[str]:
    return [item["name"] for item in found["status"]["revisions"]]


def test_the_life_of_a_deployment(platform: ServingPlatform, models: Path) -> None:
    client = platform.client
    wanted = document("iris", models / "iris")
    found = client.apply(wanted, wait=60)

    status = found["status"]
    assert {item["type"]: item["status"] for item in status["conditions"]} == {
        "PredictorReady": "True",
        "IngressReady": "True",
        "LatestDeploymentReady": "True",
        "Ready": "True",
    }
    assert status["components"]["predictor"]["latestReadyRevision"] == "iris-00001"
    assert status["modelStatus"]["transitionStatus"] == "UpToDate"
    [revision] = status["revisions"]
    assert status["address"]["url"] == f"http://127.0.0.1:{revision['port']}" == status["url"]
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}

    again = client.apply(wanted, wait=60)
    assert revisions(again) == ["iris-00001"], "nothing changed, so nothing restarts"

    changed = client.apply(document("iris", models / "iris", OMP_NUM_THREADS="1"), wait=60)
    assert changed["status"]["components"]["predictor"]["latestReadyRevision"] == "iris-00002"

    assert [item["metadata"]["name"] for item in client.list()] == ["iris"]
    client.delete("iris")
    assert client.list() == [] and platform.services() == {}
    assert list((Path(platform.environment["MILLPOND_SERVING_DATA"]) / "models").iterdir()) == []
    with pytest.raises(ServingError) as caught:
        client.get("iris")
    assert caught.value.status == 404


def test_the_first_prediction_after_a_deployment_is_noted(platform: ServingPlatform, models: Path) -> None:
    wanted = document("iris", models / "iris")
    wanted["spec"]["predictor"]["logger"] = {"mode": "all"}
    platform.client.apply(wanted, wait=60)
    platform.client.predict("iris", IRIS, protocol="v1")
    folder = Path(platform.environment["MILLPOND_SERVING_DATA"]) / "predictions/iris"
    deadline = time.monotonic() + 20
    while not (noted := [file for file in folder.glob("iris-00001.*") if file.stat().st_size]):
        assert time.monotonic() < deadline, "it was asked before it knew that it is to note"
        time.sleep(0.05)
    # A segment's name has the time at which its writer began.
    began = int(noted[0].name.split(".")[2]) / 1000
    assert (folder / "control.json").stat().st_mtime <= began


def test_a_revision_that_does_not_load_leaves_the_old_one_serving(
    platform: ServingPlatform, models: Path
) -> None:
    client = platform.client
    client.apply(document("iris", models / "iris"), wait=60)
    with pytest.raises(ServingError, match="this model never loads"):
        client.apply(document("iris", models / "unloadable"), wait=60)
    found = client.get("iris")
    assert condition(found, "Ready") == "True"
    assert condition(found, "LatestDeploymentReady") == "False"
    failure = found["status"]["modelStatus"]
    assert failure["transitionStatus"] == "BlockedByFailedLoad"
    assert failure["lastFailureInfo"]["modelRevisionName"] == "iris-00002"
    assert "Traceback" not in failure["lastFailureInfo"]["message"]
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}

    with pytest.raises(ServingError, match="there is no folder"):
        client.apply(document("iris", models / "nowhere"), wait=60)
    assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
    assert list(platform.services()) == ["serving-iris-00001"]


def test_deployments_come_back_without_the_registry(
    platform: ServingPlatform, models: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(models / "iris", copy)
    before = platform.client.apply(document("iris", copy), wait=60)
    shutil.rmtree(copy)

    platform.kill_controller()
    assert list(platform.services()) == ["serving-iris-00001"], "a model outlives its controller"
    platform.up()
    assert platform.wait_ready("iris")["status"]["address"] == before["status"]["address"]

    platform.down()
    platform.up()
    after = platform.wait_ready("iris")
    assert after["status"]["address"] == before["status"]["address"], "ports are kept"
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert platform.client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}


def test_an_alias_is_frozen_until_it_is_applied_again(
    platform: ServingPlatform, models: Path, science_python: Path
) -> None:
    def register(model: str) -> list[str]:
        script = Path(__file__).parent / "register_model.py"
        command = [str(science_python), str(script), str(models / model), "flights", "champion"]
        environment = {**platform.environment, "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
        cwd = platform.log.parent
        found = subprocess.run(command, env=environment, capture_output=True, check=True, text=True, cwd=cwd)
        return found.stdout.split()[-2:]

    client = platform.client
    wanted = document("flights", "models:/flights@champion")
    with pytest.raises(ServingError, match="the registry has no models:/flights@champion"):
        client.apply(wanted, wait=60)
    version, run = register("iris")
    annotations = client.apply(wanted, wait=60)["metadata"]["annotations"]
    assert annotations["serving.millpond.dev/model-version"] == version
    assert annotations["serving.millpond.dev/run-id"] == run
    assert ask_metadata(client)["versions"] == [version]

    newer, _ = register("waiting")
    assert ask_metadata(client)["versions"] == [version]
    found = client.apply(wanted, wait=60)
    assert found["status"]["revisions"][-1]["storageUri"] == f"models:/flights/{newer}"
    assert ask_metadata(client)["versions"] == [newer]


def ask_metadata(client: ServingClient) -> dict[str, Any]:
    url = client.get("flights")["status"]["address"]["url"]
    found: dict[str, Any] = ask(int(url.rpartition(":")[2]), "/v2/models/flights").json
    return found


def test_no_prediction_is_lost_while_a_revision_is_replaced(platform: ServingPlatform, models: Path) -> None:
    client = platform.client
    client.apply(document("iris", models / "iris"), wait=60)
    done = threading.Event()
    answers: list[Any] = []

    def predict() -> None:
        own = ServingClient(f"http://127.0.0.1:{platform.port}", TOKEN)
        while not done.is_set():
            try:
                answers.append(own.predict("iris", IRIS, protocol="v1")["predictions"])
            except ServingError as error:
                answers.append(error)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        client.apply(document("iris", models / "iris", OMP_NUM_THREADS="1"), wait=60)
        while "serving-iris-00001" in platform.services():
            assert not done.wait(0.05)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert len(answers) > 20
    assert [answer for answer in answers if answer != [0]] == []


def test_a_model_that_is_killed_comes_back(platform: ServingPlatform, models: Path) -> None:
    client = platform.client
    client.apply(document("iris", models / "iris"), wait=60)
    os.kill(platform.pid("serving-iris-00001"), signal.SIGKILL)
    deadline = threading.Event()
    for _ in range(300):
        try:
            assert client.predict("iris", IRIS, protocol="v1") == {"predictions": [0]}
            break
        except ServingError:
            deadline.wait(0.1)
    else:
        raise AssertionError(client.get("iris"))


def test_a_controller_that_cannot_go_on_says_so_at_once(platform: ServingPlatform, models: Path) -> None:
    folder = Path(platform.environment["MILLPOND_SERVING_DATA"]) / "models"
    folder.parent.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("not a folder")
    with pytest.raises(ServingError, match="the controller failed: FileExistsError"):
        platform.client.apply(document("iris", models / "iris"), wait=60)
    folder.unlink()
    platform.client.apply(document("iris", models / "iris"), wait=60)


def test_the_api_refuses_like_kubernetes(platform: ServingPlatform, models: Path) -> None:
    headers = {"authorization": f"Bearer {TOKEN}"}

    def put(path: str, body: Any) -> tuple[int, str]:
        answer = ask(platform.port, path, body, method="PUT", headers=headers)
        found = answer.json
        assert found["kind"] == "Status" and found["code"] == answer.status
        return answer.status, found["message"]

    assert ask(platform.port, f"{BASE}/iris").status == 401
    assert ask(platform.port, "/healthz").status == 200
    good = document("iris", models / "iris")
    assert put(f"{BASE}/other", good)[0] == 400
    assert put(f"{BASE}/iris", b"{")[0] == 422
    assert put(f"{BASE}/iris", b"\xff")[0] == 400
    status, message = put(f"{BASE}/iris", json.loads(json.dumps(good).replace("storageUri", "storageUrl")))
    assert (status, "did you mean storageUri?" in message) == (422, True)
    bad = json.loads(json.dumps(good).replace('"iris"', '"IRIS"'))
    assert "DNS-1123" in put(f"{BASE}/IRIS", bad)[1]
    assert platform.client.list() == []
