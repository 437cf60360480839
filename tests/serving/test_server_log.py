"""What a model server tells about itself: its revision, how busy it is, and its prediction log."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from millpond.serving.predictionlog import Control, Frame, read_segment
from model_servers import ModelServer


def column(name: str, *data: object) -> dict[str, object]:
    return {"name": name, "shape": [len(data)], "datatype": "FP64", "data": list(data)}


def frames(folder: Path) -> list[Frame]:
    return [frame for path in sorted(folder.glob("*.seg")) for frame in read_segment(path)[1]]


def test_an_answer_names_its_revision_and_its_id(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    answer = server.ask(
        "/v1/models/iris:predict", {"instances": [[1, 2, 3, 4]]}, headers={"x-request-id": "r7"}
    )
    assert (answer.headers["x-millpond-revision"], answer.headers["x-request-id"]) == ("iris-3", "r7")
    refused = server.predict({"instances": [[1]]})
    assert (refused.status, refused.headers["x-millpond-revision"]) == (400, "iris-3")
    assert "x-millpond-revision" not in server.ask("/v2/health/live").headers


def test_the_integral_of_requests_in_flight_grows_while_they_wait(
    model_servers: dict[str, ModelServer],
) -> None:
    server = model_servers["echo"]
    before = server.ask("/stats").json
    calls = [
        threading.Thread(target=server.infer, args=(column("number", 1.5), column("sleep", 0.3)))
        for _ in range(2)
    ]
    for call in calls:
        call.start()
    deadline = time.monotonic() + 5
    while server.ask("/stats").json["in_flight"] < before["in_flight"] + 2:
        assert time.monotonic() < deadline
    for call in calls:
        call.join()
    after = server.ask("/stats").json
    assert after["requests"] - before["requests"] == 2
    assert after["busy_seconds"] - before["busy_seconds"] > 0.6
    assert after["in_flight"] == 0


def test_predictions_are_logged_as_they_came(science_python: Path, models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    Control("all").write(folder)
    server = ModelServer(
        science_python,
        models / "iris",
        "iris",
        tmp_path / "out",
        "--log-dir",
        str(folder),
        "--revision",
        "r1",
    )
    server.start()
    try:
        server.wait_ready()
        body = b'{"instances": [[5.1, 3.5, 1.4,   0.2]]}'
        path = "/v1/models/iris:predict"
        headers = {"content-type": "application/json", "host": "iris-shadow:80", "x-request-id": "one"}
        answer = server.ask(path, body, headers=headers)
        server.ask(path, b"{", headers={"x-request-id": "two"})
        server.ask("/v2/models/iris")
    finally:
        assert server.stop() == 0
    [segment] = folder.glob("r1.*.seg")
    assert read_segment(segment)[0]["version"] == "3"
    good, bad = frames(folder)
    assert (good.request, good.response) == (body, answer.body)
    assert {key: good.meta[key] for key in ("id", "status", "protocol", "path", "type", "shadow")} == {
        "id": "one",
        "status": 200,
        "protocol": "v1",
        "path": path,
        "type": "application/json",
        "shadow": True,
    }
    assert abs(good.meta["time"] - time.time()) < 30 and 0 < good.meta["ms"] < 5000
    assert (bad.meta["id"], bad.meta["status"], bad.meta["shadow"]) == ("two", 400, False)
    assert "error" in json.loads(bad.response)
