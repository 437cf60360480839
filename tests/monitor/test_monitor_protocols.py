"""What a real model server logs is read, whichever protocol a client speaks."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import grpc
import pytest
from millpond_monitor import Monitor

from loopback import free_port
from millpond.serving.openinference import SERVICE, ModelInferRequest
from millpond.serving.predictionlog import Control
from model_servers import ModelServer

pytestmark = pytest.mark.slow

ROW = [5.1, 3.5, 1.4, 0.2]


def test_every_protocol_gives_the_same_columns(
    monitor: Monitor, science_python: Path, models: Path, tmp_path: Path
) -> None:
    folder = monitor.folder / "predictions/iris"
    Control("all").write(folder)
    monitor.settings("iris", primary="iris-3", reference={"rows": 3})
    port = free_port()
    options = ("--log-dir", str(folder), "--grpc-port", str(port))
    server = ModelServer(science_python, models / "iris", "iris", tmp_path / "iris.log", *options)
    server.start()
    try:
        server.wait_ready()
        tensor = {"name": "any", "shape": [1, 4], "datatype": "FP64"}
        answers = [
            server.predict({"instances": [ROW]}),
            server.infer({**tensor, "data": ROW}),
        ]
        data = struct.pack("<4d", *ROW)
        binary = {**tensor, "parameters": {"binary_data_size": len(data)}}
        head = json.dumps({"inputs": [binary], "parameters": {"binary_data_output": True}}).encode()
        length = {"inference-header-content-length": str(len(head))}
        answers.append(server.ask("/v2/models/iris/infer", head + data, headers=length))
        assert [answer.status for answer in answers] == [200] * 3, [answer.body for answer in answers]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            typed = ModelInferRequest(model_name="iris")
            typed.inputs.add(name="any", datatype="FP64", shape=[1, 4]).contents.fp64_contents.extend(ROW)
            raw = ModelInferRequest(model_name="iris", raw_input_contents=[data])
            raw.inputs.add(name="any", datatype="FP64", shape=[1, 4])
            for message in (typed, raw):
                call(message.SerializeToString(), timeout=30)
    finally:
        assert server.stop() == 0
    monitor.start()
    found = monitor.wait_for("iris", 5)
    assert list(found["outputs"]) == ["prediction"]
    assert (found["outputs"]["prediction"]["rows"], found["outputs"]["prediction"]["missing"]) == (5, 0)
    assert found["outputs"]["prediction"]["classes"] == {"0": 5}
    columns = monitor.get("iris", "drift")["features"]
    assert sorted(column["name"] for column in columns) == [f"feature {index}" for index in range(4)]
    # V1, V2 and binary are in the reference, both forms of gRPC are compared with them.
    assert {tuple(column["values"].values()) for column in columns} == {(3, 2)}
    assert {column["distance"]["value"] for column in columns} == {0.0}
