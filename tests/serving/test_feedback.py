"""What ends up in the prediction log by each protocol, and the feedback that is sent to it afterwards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from binary_tensors import pack

from millpond.serving.openinference import SERVICE, ModelInferRequest, ModelInferResponse
from millpond.serving.predictionlog import Control, read_segment
from model_servers import ModelServer

ROW = {"name": "input-0", "shape": [1, 4], "datatype": "FP32"}
PATH = "/v2/models/iris/infer"


def as_grpc(server: ModelServer, **metadata: str) -> tuple[bytes, bytes]:
    """A prediction over gRPC: the messages of its request and answer."""
    inputs = [{**ROW, "contents": {"fp32_contents": [1, 2, 3, 4]}}]
    message = ModelInferRequest(model_name="iris", inputs=inputs).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        ask = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        found = [(key.replace("_", "-"), value) for key, value in metadata.items()]
        return message, ask(message, timeout=30, metadata=found)


@pytest.mark.slow
def test_every_protocol_is_logged_and_takes_feedback(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "predictions"
    Control("all").write(folder)
    server = ModelServer(science_python, models / "iris", "iris", tmp_path / "log", "--log-dir", str(folder))
    server.start()
    try:
        server.wait_ready()
        plain = {"inputs": [{**ROW, "data": [1, 2, 3, 4]}]}
        json_answer = server.ask(PATH, plain, headers={"x-request-id": "as-json"})
        assert json_answer.headers["x-millpond-revision"] == "iris-3"
        data = pack("FP32", [1, 2, 3, 4])
        head = json.dumps(
            {
                "inputs": [{**ROW, "parameters": {"binary_data_size": len(data)}}],
                "parameters": {"binary_data_output": True},
            }
        ).encode()
        headers = {"x-request-id": "as-bytes", "inference-header-content-length": str(len(head))}
        binary_answer = server.ask(PATH, head + data, headers=headers)
        assert binary_answer.status == 200
        asked, answered = as_grpc(server, x_request_id="as-grpc")
        as_grpc(server, x_request_id="mirrored", x_millpond_shadow="true")
        for path, body in (
            (f"/v2/models/{server.name}/feedback", {"id": "as-json", "reward": 0.5}),
            (f"/v2/models/{server.name}/versions/3/feedback", {"id": "as-bytes", "truth": [2]}),
            (f"/v1/models/{server.name}:feedback", {"id": "as-grpc", "reward": True, "truth": None}),
        ):
            answer = server.ask(path, body)
            assert (answer.status, answer.json) == (202, {"id": body["id"]})
    finally:
        server.stop()
    frames = {
        (frame.meta["kind"], frame.meta["id"]): frame
        for path in folder.glob("*.seg")
        for frame in read_segment(path)[1]
    }
    assert len(frames) == 7
    as_json, as_bytes = frames["prediction", "as-json"], frames["prediction", "as-bytes"]
    assert (json.loads(as_json.request), as_json.response) == (plain, json_answer.body)
    assert (as_json.meta["protocol"], as_json.meta["header_length"]) == ("v2", None)
    assert (as_bytes.request, as_bytes.response) == (head + data, binary_answer.body)
    assert as_bytes.meta["header_length"] == len(head)
    length = as_bytes.meta["response_header_length"]
    assert json.loads(as_bytes.response[:length])["outputs"][0]["name"] == "output-1"
    rpc = frames["prediction", "as-grpc"]
    assert (rpc.meta["protocol"], rpc.meta["status"], rpc.meta["shadow"]) == ("grpc-v2", 200, False)
    assert (rpc.request, rpc.response) == (asked, answered)
    assert ModelInferResponse.FromString(rpc.response).model_name == "iris"
    assert frames["prediction", "mirrored"].meta["shadow"] is True
    assert json.loads(frames["feedback", "as-grpc"].request) == {
        "id": "as-grpc",
        "reward": True,
        "truth": None,
    }


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        ([], "an object"),
        ({"reward": 1}, "x-request-id"),
        ({"id": "", "reward": 1}, "x-request-id"),
        ({"id": 5, "reward": 1}, "x-request-id"),
        ({"id": "a" * 129, "reward": 1}, "x-request-id"),
        ({"id": "a"}, "reward and truth are both missing"),
        ({"id": "a", "reward": "good"}, "number, true or false"),
        ({"id": "a", "reward": None}, "number, true or false"),
        ({"id": "a", "reward": 1, "rewards": 2}, "unknown key rewards"),
    ],
)
def test_what_is_no_feedback_is_refused(model_servers: dict[str, ModelServer], body: Any, said: str) -> None:
    answer = model_servers["iris"].ask("/v2/models/iris/feedback", body)
    assert (answer.status, said in answer.error) == (400, True), answer.body


def test_feedback_without_a_log_or_to_another_model(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    answer = server.ask("/v2/models/iris/feedback", {"id": "a", "reward": 1})
    assert (answer.status, "no prediction log" in answer.error) == (409, True)
    assert server.ask("/v2/models/other/feedback", {"id": "a", "reward": 1}).status == 404
    assert server.ask("/v1/models/other:feedback", {"id": "a", "reward": 1}).status == 404
    assert server.ask("/v2/models/iris/feedback").status == 405
    large = b'{"id": "a", "truth": "' + b"x" * 2**20 + b'"}'
    assert server.ask("/v2/models/iris/feedback", large).status == 413


def test_the_repository_has_one_model(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    entry = {"name": "iris", "version": "3", "state": "READY", "reason": ""}
    assert server.ask("/v2/repository/index", b"", method="POST").json == [entry]
    assert server.ask("/v2/repository/index", {"ready": True}).json == [entry]
    load = server.ask("/v2/repository/models/iris/load", {})
    assert (load.status, load.json) == (200, {})
    unload = server.ask("/v2/repository/models/iris/unload", {})
    assert (unload.status, "scale to zero" in unload.error) == (409, True)
    assert server.ask("/v2/health/ready").status == 200


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("index", {"ready": "yes"}, 400),
        ("index", [], 400),
        ("index", b"{", 400),
        ("index", None, 405),
        ("models/other/load", {}, 404),
        ("models/other/unload", {}, 404),
        ("models/iris/load", {"parameters": {"config": "{}"}}, 400),
        ("models/iris/load", [], 400),
        ("models/iris/load", None, 405),
        ("models/iris", {}, 404),
    ],
)
def test_repository_calls_that_are_wrong(
    model_servers: dict[str, ModelServer], path: str, body: Any, status: int
) -> None:
    answer = model_servers["iris"].ask(f"/v2/repository/{path}", body)
    assert (answer.status, bool(answer.error)) == (status, True)


@pytest.mark.slow
def test_what_it_says_while_it_loads(science_python: Path, models: Path, tmp_path: Path) -> None:
    server = ModelServer(science_python, models / "slow", "slow", tmp_path / "log")
    server.start()
    try:
        server.wait_live()
        [entry] = server.ask("/v2/repository/index", {}).json
        assert (entry["state"], entry["reason"]) == ("LOADING", "the model is being loaded")
        assert server.ask("/v2/repository/index", {"ready": True}).json == []
        for path in ("/v2/repository/models/slow/load", "/v2/models/slow/infer", "/v1/models/slow:predict"):
            answer = server.ask(path, {})
            assert (answer.status, "not ready yet" in answer.error) == (503, True)
        assert server.ask("/v2/models/slow/ready").status == 503
        assert server.ask("/v1/models/slow").status == 503
        with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
            assert channel.unary_unary(f"/{SERVICE}/ServerReady")(b"") == b""
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(f"/{SERVICE}/ModelInfer")(b"")
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop()
