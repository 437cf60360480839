"""Requests that were damaged on their way, and ones that nobody would send: never a 5xx, never an INTERNAL.

The examples are made anew from the same seed each time, and there is a fixed number of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod
from typing import Any

import grpc
import pytest
from binary_tensors import FORMATS, pack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millpond.serving.openinference import METHODS, SERVICE, ModelInferRequest
from model_servers import ModelServer

pytestmark = pytest.mark.slow

HEADER = "inference-header-content-length"
MODELS = ["mirror", "iris", "kinds", "waiting", "sums"]
DATATYPES = [*FORMATS, "BYTES"]
FIELDS = {
    "BOOL": "bool_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
KINDS = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
OPTIONAL = [*(f"a_{kind}" for kind in KINDS), "an_array", "an_object", "anything"]
COLUMNS = ["TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
_fuzz = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_texts = st.sampled_from(
    ["Oost", "5", "-1.5", "nan", "true", "2026-01-31T12:00:00Z", "AP8=", "[1.5]", '{"a": 1}']
)
_bytes = _texts.map(str.encode) | st.binary(max_size=6) | st.text(max_size=5).map(str.encode)


def values(datatype: str, count: int) -> st.SearchStrategy[list[Any]]:
    """As many values of a datatype; small ones more often."""
    one: st.SearchStrategy[Any]
    if datatype == "BYTES":
        one = _bytes
    elif datatype == "BOOL":
        one = st.booleans()
    elif datatype.startswith("FP"):
        one = st.integers(-3, 3).map(float) | st.floats(width=int(datatype[2:]))  # type: ignore[arg-type]
    else:
        bits, signed = int(datatype.lstrip("UINT")), not datatype.startswith("U")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        one = st.integers(0, 2) | st.integers(low, high)
    return st.lists(one, min_size=count, max_size=count)


@st.composite
def tensors(draw: st.DrawFn, model: str, datatypes: list[str]) -> list[dict[str, Any]]:
    """Inputs that add up, for what the model takes; what their values are is another matter."""
    rows = draw(st.integers(1, 3))
    layout: list[tuple[str, list[int]]]
    if model == "iris":
        layout = [("input-0", [rows, 4])]
    elif model == "sums":
        layout = [("input-0", [rows, 2, 3])]
    elif model == "waiting":
        layout = [(name, [rows]) for name in COLUMNS]
    else:
        chosen = draw(st.lists(st.sampled_from(OPTIONAL), max_size=3, unique=True))
        shapes = st.sampled_from([[rows], [rows, 1]])
        layout = [(name, [rows, 2] if name == "an_array" else draw(shapes)) for name in chosen]
        layout.append(("number", [rows]))
    right = {"waiting": "BYTES", "iris": "FP32", "sums": "FP32"}.get(model)
    found = []
    for name, shape in layout:
        datatype = right or draw(st.sampled_from(datatypes))
        if datatype not in datatypes or draw(st.integers(0, 9)) == 0:
            datatype = draw(st.sampled_from(datatypes))
        data = draw(values(datatype, prod(shape)))
        found.append({"name": name, "datatype": datatype, "shape": shape, "values": data})
    return found


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes with a few of them changed, lost, doubled or added."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["change", "cut", "insert", "lose", "double"]))
        if kind == "change" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif kind == "lose":
            del data[at : at + draw(st.integers(1, 8))]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 8))]
    return bytes(data)


content_types = st.sampled_from(["pd", "np", "str", "base64", "datetime", "pd_json", "xml"])
odd_shapes = st.lists(st.integers(0, 4), max_size=3) | st.lists(st.integers(-2, 2**40), max_size=40)
odd_datatypes = st.sampled_from([*DATATYPES, "FP8", ""])
rarely = st.integers(0, 7).map(lambda number: number == 7)


@st.composite
def binary_bodies(draw: st.DrawFn, model: str) -> tuple[bytes, str]:
    """A body of the binary extension, in which now and then something is off, and its header."""
    inputs, tail = [], b""
    for found in draw(tensors(model, DATATYPES)):
        data = pack(found["datatype"], found.pop("values"))
        tail += data
        parameters: dict[str, Any] = {"binary_data_size": len(data)}
        if draw(rarely):
            parameters["content_type"] = draw(content_types)
        if draw(rarely):
            found |= draw(
                st.fixed_dictionaries({"shape": odd_shapes})
                | st.fixed_dictionaries({"datatype": odd_datatypes})
            )
        if draw(rarely):
            parameters["binary_data_size"] = draw(st.integers(-1, 99))
        inputs.append({**found, "parameters": parameters})
    body: dict[str, Any] = {"inputs": inputs, "parameters": {"binary_data_output": draw(st.booleans())}}
    if draw(rarely):
        body["parameters"]["content_type"] = draw(content_types)
    head = json.dumps(body).encode()
    length = draw(st.integers(0, len(head) + 100)) if draw(rarely) else len(head)
    return head + tail, str(length)


@st.composite
def messages(draw: st.DrawFn, model: str) -> bytes:
    """A ModelInferRequest, in which now and then something is off."""
    message = ModelInferRequest(model_name="other" if draw(rarely) else model)
    raw = draw(st.booleans())
    for found in draw(tensors(model, DATATYPES if raw else list(FIELDS))):
        data = found.pop("values")
        if draw(rarely):
            found["shape"] = [length for length in draw(odd_shapes) if length < 2**63]
        item = message.inputs.add(**found)
        if draw(rarely):
            item.parameters["content_type"].string_param = draw(content_types)
        if raw:
            message.raw_input_contents.append(pack(found["datatype"], data))
        else:
            getattr(item.contents, FIELDS[found["datatype"]]).extend(data)
        if draw(rarely):
            item.datatype = draw(odd_datatypes)
        if draw(rarely):
            item.contents.int64_contents.append(1)
    if draw(rarely):
        message.outputs.add(name=draw(st.sampled_from(["output-1", "number", "x"])))
    if draw(rarely):
        message.parameters["content_type"].string_param = draw(content_types)
        message.parameters["empty"].SetInParent()
    return bytes(message.SerializeToString())


@pytest.mark.parametrize("model", MODELS)
@_fuzz
@given(data=st.data())
def test_no_binary_body_breaks_the_server(
    model_servers: dict[str, ModelServer], model: str, data: st.DataObject
) -> None:
    body, length = data.draw(binary_bodies(model))
    if data.draw(rarely):
        body = data.draw(damaged(body))
    answer = model_servers[model].ask(f"/v2/models/{model}/infer", body, headers={HEADER: length})
    assert answer.status in (200, 400), answer.body
    if answer.status == 400:
        assert answer.error


@pytest.fixture
def channels(model_servers: dict[str, ModelServer]) -> Iterator[dict[str, grpc.Channel]]:
    """A channel to each of the servers."""
    found = {name: grpc.insecure_channel(f"127.0.0.1:{model_servers[name].grpc_port}") for name in MODELS}
    yield found
    for channel in found.values():
        channel.close()


def code(channel: grpc.Channel, method: str, body: bytes) -> grpc.StatusCode:
    """What a call ends with."""
    return channel.unary_unary(f"/{SERVICE}/{method}").future(body, timeout=30).code()


@pytest.mark.parametrize("model", MODELS)
@_fuzz
@given(data=st.data())
def test_no_message_breaks_the_server(
    channels: dict[str, grpc.Channel], model: str, data: st.DataObject
) -> None:
    body = data.draw(messages(model))
    if data.draw(rarely):
        body = data.draw(damaged(body))
    allowed = (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert code(channels[model], "ModelInfer", body) in allowed


@pytest.mark.parametrize("method", METHODS)
@settings(parent=_fuzz, max_examples=50)
@given(body=st.binary(max_size=60))
def test_no_bytes_break_a_method(channels: dict[str, grpc.Channel], method: str, body: bytes) -> None:
    assert code(channels["iris"], method, body) not in (
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
    )
