"""V2 over gRPC, by a client of its own: the methods, both forms of tensors, refusals, ids, limits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from binary_tensors import pack, unpack
from grpc import StatusCode

from millpond.serving.openinference import METHODS, SERVICE, ModelInferRequest
from model_servers import ModelServer

ROOT = Path(__file__).parent.parent.parent
TYPED = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 2**16 - 1]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-(2**15), 2**15 - 1]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [0.5, float("-inf")]),
    "FP64": ("fp64_contents", [0.1, 5e-324]),
    "BYTES": ("bytes_contents", [b"Noordwest", "Curaçao".encode()]),
}


class Client:
    """Calls one server's methods."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.headers: dict[str, str] = {}

    def call(self, method: str, message: Any = None, *, asked: str | None = None, **fields: Any) -> Any:
        """One call; its initial metadata are kept as `headers`."""
        wanted, given = METHODS[method]
        body = message if isinstance(message, bytes) else (message or wanted(**fields)).SerializeToString()
        ask = self._channel.unary_unary(f"/{SERVICE}/{method}")
        call = ask.future(body, timeout=30, metadata=[("x-request-id", asked)] if asked else None)
        answer = given.FromString(call.result())
        self.headers = dict(call.initial_metadata())
        return answer

    def refused(self, method: str, message: Any = None, **fields: Any) -> tuple[StatusCode, str]:
        """The code and sentence of a call that is refused."""
        with pytest.raises(grpc.RpcError) as error:
            self.call(method, message, **fields)
        said = error.value.details()
        assert "Traceback" not in said and "\n" not in said
        return error.value.code(), said


@pytest.fixture
def client(model_servers: dict[str, ModelServer]) -> Iterator[Callable[[str], Client]]:
    """A client of a model server, by the server's name."""
    channels: list[grpc.Channel] = []

    def connect(name: str) -> Client:
        channels.append(grpc.insecure_channel(f"127.0.0.1:{model_servers[name].grpc_port}"))
        return Client(channels[-1])

    yield connect
    for channel in channels:
        channel.close()


def tensor(name: str, datatype: str, shape: list[int], values: list[Any] | None = None) -> dict[str, Any]:
    """An input, with typed contents if there are values."""
    found: dict[str, Any] = {"name": name, "datatype": datatype, "shape": shape}
    if values is not None:
        found["contents"] = {TYPED[datatype][0]: values}
    return found


def test_the_descriptor_is_the_protocols_file_compiled() -> None:
    command = [sys.executable, str(ROOT / "tools/proto.py"), "--check"]
    assert subprocess.run(command).returncode == 0, "run tools/proto.py"


def test_health_metadata_and_repository(client: Callable[[str], Client]) -> None:
    waiting = client("waiting")
    assert waiting.call("ServerLive").live
    assert waiting.call("ServerReady").ready
    assert waiting.call("ModelReady", name="waiting", version="3").ready
    server = waiting.call("ServerMetadata")
    assert server.name == "millpond"
    assert {"binary_tensor_data", "model_repository"} <= set(server.extensions)
    model = waiting.call("ModelMetadata", name="waiting")
    assert (model.name, list(model.versions), model.parameters["content_type"].string_param) == (
        "waiting",
        ["3"],
        "pd",
    )
    assert [(item.name, item.datatype, list(item.shape)) for item in model.outputs] == [
        ("output-1", "FP64", [-1, 1])
    ]
    [found] = waiting.call("RepositoryIndex").models
    assert (found.name, found.version, found.state, found.reason) == ("waiting", "3", "READY", "")
    loaded = waiting.call("RepositoryModelLoad", model_name="waiting")
    assert (loaded.model_name, loaded.isLoaded) == ("waiting", True)
    # KServe's clients have the model's name in the field that is the repository's name elsewhere.
    assert waiting.call("RepositoryModelLoad", repository_name="waiting").isLoaded
    code, said = waiting.refused("RepositoryModelUnload", model_name="waiting")
    assert (code, "not unloaded" in said) == (StatusCode.FAILED_PRECONDITION, True)
    assert waiting.call("ServerReady").ready


@pytest.mark.parametrize("datatype", TYPED)
def test_every_datatype_in_typed_contents(client: Callable[[str], Client], datatype: str) -> None:
    field, values = TYPED[datatype]
    answer = client("mirror").call(
        "ModelInfer", model_name="mirror", inputs=[tensor("any", datatype, [2, 1], values)]
    )
    [output] = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output-1", datatype, [2, 1])
    assert list(getattr(output.contents, field)) == values
    assert not answer.raw_output_contents


@pytest.mark.parametrize("datatype", [*TYPED, "FP16"])
def test_every_datatype_as_raw_contents(client: Callable[[str], Client], datatype: str) -> None:
    values = [0.5, -2.0] if datatype == "FP16" else TYPED[datatype][1]
    data = pack(datatype, values)
    inputs = [tensor("any", datatype, [2, 1])]
    answer = client("mirror").call(
        "ModelInfer", model_name="mirror", inputs=inputs, raw_input_contents=[data]
    )
    [output], [raw] = answer.outputs, answer.raw_output_contents
    assert (output.datatype, list(output.shape), output.HasField("contents")) == (datatype, [2, 1], False)
    assert unpack(datatype, raw) == values


def test_a_table_of_mixed_columns(client: Callable[[str], Client]) -> None:
    inputs = [
        tensor("number", "FP64", [2], [1.5, float("nan")]),
        tensor("a_string", "BYTES", [2, 1], [b"a", "é".encode()]),
        tensor("a_binary", "BYTES", [2], [b"\0\xff", b""]),
        tensor("a_long", "INT64", [2], [1, 2]),
    ]
    echo = client("echo")
    answer = echo.call("ModelInfer", model_name="echo", model_version="3", id="abc", inputs=inputs)
    assert (answer.model_name, answer.model_version, answer.id) == ("echo", "3", "abc")
    assert answer.parameters["content_type"].string_param == "pd"
    found = {output.name: output.contents for output in answer.outputs}
    assert list(found["a_string"].bytes_contents) == [b"a", "é".encode()]
    assert list(found["a_binary"].bytes_contents) == [b"\0\xff", b""]
    assert list(found["a_long"].int64_contents) == [1, 2]
    first, second = found["number"].fp64_contents
    assert first == 1.5 and second != second
    chosen = echo.call("ModelInfer", model_name="echo", inputs=inputs, outputs=[{"name": "a_long"}])
    assert [output.name for output in chosen.outputs] == ["a_long"]


def test_strings_typed_as_numbers_are_strings(
    client: Callable[[str], Client], model_servers: dict[str, ModelServer]
) -> None:
    columns = ("TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING")
    row = dict(zip(columns, ("Behandeling", "KNO (302)", "Oost", "Kliniek"), strict=True))
    inputs = [
        {"name": n, "datatype": "FP32", "shape": [1], "contents": {"bytes_contents": [v.encode()]}}
        for n, v in row.items()
    ]
    [output] = client("waiting").call("ModelInfer", model_name="waiting", inputs=inputs).outputs
    expected = model_servers["waiting"].predict({"instances": [row]}).json["predictions"]
    assert list(output.contents.fp64_contents) == expected


def test_the_requests_id_and_the_revision_come_back(client: Callable[[str], Client]) -> None:
    mirror = client("mirror")
    fields = {"model_name": "mirror", "inputs": [tensor("any", "FP64", [1], [1.0])]}
    answer = mirror.call("ModelInfer", asked="find-me", **fields)
    assert answer.id == "find-me"
    assert mirror.headers["x-request-id"] == "find-me"
    assert mirror.headers["x-millpond-revision"] == "mirror-3"
    mirror.call("ServerLive")
    assert mirror.headers["x-request-id"]


ROW = {"name": "input-0", "datatype": "FP32", "shape": [1, 4]}
FULL = {**ROW, "contents": {"fp32_contents": [1, 2, 3, 4]}}


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"model_name": "other"}, StatusCode.NOT_FOUND, "this server has iris"),
        ({"model_version": "9", "inputs": [FULL]}, StatusCode.NOT_FOUND, "no version 9"),
        ({}, StatusCode.INVALID_ARGUMENT, "no rows"),
        ({"inputs": [ROW]}, StatusCode.INVALID_ARGUMENT, "shape [1, 4] holds 4 values, data has 0"),
        ({"inputs": [{**FULL, "shape": [-1, 4]}]}, StatusCode.INVALID_ARGUMENT, "shape"),
        ({"inputs": [{**FULL, "shape": [2**31, 2**31]}]}, StatusCode.INVALID_ARGUMENT, "shape"),
        ({"inputs": [{**FULL, "datatype": "FP8"}]}, StatusCode.INVALID_ARGUMENT, "unknown datatype"),
        (
            {"inputs": [{**FULL, "datatype": "FP64"}]},
            StatusCode.INVALID_ARGUMENT,
            "it goes into fp64_contents",
        ),
        ({"inputs": [{**FULL, "datatype": "FP16"}]}, StatusCode.INVALID_ARGUMENT, "raw_input_contents"),
        (
            {"inputs": [{**ROW, "contents": {"fp32_contents": [1], "int_contents": [1]}}]},
            StatusCode.INVALID_ARGUMENT,
            "send one of them",
        ),
        ({"inputs": [ROW], "raw_input_contents": [b"123"]}, StatusCode.INVALID_ARGUMENT, "16 bytes, not 3"),
        ({"inputs": [ROW], "raw_input_contents": [b"", b""]}, StatusCode.INVALID_ARGUMENT, "2 parts for 1"),
        ({"inputs": [FULL], "raw_input_contents": [bytes(16)]}, StatusCode.INVALID_ARGUMENT, "beside"),
        ({"inputs": [FULL], "outputs": [{"name": "x"}]}, StatusCode.INVALID_ARGUMENT, "unknown output x"),
        (
            {"inputs": [FULL], "parameters": {"content_type": {"string_param": "xml"}}},
            StatusCode.INVALID_ARGUMENT,
            "unknown content type xml",
        ),
    ],
)
def test_what_is_wrong_is_refused_by_name(
    client: Callable[[str], Client], fields: dict[str, Any], code: StatusCode, said: str
) -> None:
    found, sentence = client("iris").refused("ModelInfer", **{"model_name": "iris", **fields})
    assert (found, said in sentence) == (code, True), sentence


def test_no_message_of_the_protocol(client: Callable[[str], Client]) -> None:
    for method in METHODS:
        code, said = client("iris").refused(method, b"\xff\xff\xff")
        assert (code, "is no" in said) == (StatusCode.INVALID_ARGUMENT, True)
    channel = client("iris")._channel
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(f"/{SERVICE}/ModelStreamInfer")(b"")
    assert error.value.code() is StatusCode.UNIMPLEMENTED


def test_a_failing_model_is_internal_and_the_log_has_the_traceback(
    client: Callable[[str], Client], model_servers: dict[str, ModelServer]
) -> None:
    inputs = [tensor("number", "FP64", [1], [1.0]), tensor("fail", "BOOL", [1], [True])]
    code, said = client("echo").refused("ModelInfer", model_name="echo", inputs=inputs, asked="look-for-me")
    assert (code, said) == (StatusCode.INTERNAL, "model echo failed: RuntimeError: the model was")
    code, _ = client("echo").refused("ModelInfer", ModelInferRequest(model_name="echo", inputs=inputs))
    assert code is StatusCode.INTERNAL
    log = model_servers["echo"].log.read_text()
    assert "look-for-me" in log and "Traceback" in log


def test_metrics_count_grpc_as_they_count_rest(
    client: Callable[[str], Client], model_servers: dict[str, ModelServer]
) -> None:
    inputs = [FULL]
    client("iris").call("ModelInfer", model_name="iris", inputs=inputs)
    client("iris").refused("ModelInfer", model_name="iris", inputs=[ROW])
    page = model_servers["iris"].ask("/metrics").body.decode()
    for code in ("200", "400"):
        line = f'requests_total{{code="{code}",model="iris",protocol="grpc-v2",version="3"}}'
        assert line in page
