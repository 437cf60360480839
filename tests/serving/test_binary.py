"""The V2 binary tensor data extension: every datatype in both directions, and what does not add up."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from binary_tensors import pack, unpack

from model_servers import Answer, ModelServer

HEADER = "inference-header-content-length"


def tensor(name: str, datatype: str, shape: list[int], data: bytes, **parameters: Any) -> dict[str, Any]:
    """An input whose data stands behind the JSON."""
    parameters = {"binary_data_size": len(data), **parameters}
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": parameters}


def send(server: ModelServer, body: dict[str, Any], *data: bytes, header: Any = None) -> Answer:
    """A prediction with data behind its JSON."""
    head = json.dumps(body).encode()
    length = str(len(head) if header is None else header)
    path = f"/v2/models/{server.name}/infer"
    return server.ask(path, b"".join((head, *data)), headers={HEADER: length})


def outputs(answer: Answer) -> dict[str, tuple[dict[str, Any], list[Any]]]:
    """An answer's outputs by name, each with its values, wherever they stand."""
    assert answer.status == 200, answer.body
    length = answer.headers.get(HEADER)
    head, rest = answer.body, b""
    if length is not None:
        assert answer.headers["content-type"] == "application/octet-stream"
        head, rest = answer.body[: int(length)], answer.body[int(length) :]
    found = {}
    for output in json.loads(head)["outputs"]:
        if "data" in output:
            found[output["name"]] = (output, output["data"])
            continue
        size = output["parameters"]["binary_data_size"]
        found[output["name"]] = (output, unpack(output["datatype"], rest[:size]))
        rest = rest[size:]
    assert rest == b""
    return found


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False, True, True, False, False]),
        ("UINT8", [0, 255, 1, 2, 3, 4]),
        ("UINT16", [0, 2**16 - 1, 1, 2, 3, 4]),
        ("UINT32", [0, 2**32 - 1, 1, 2, 3, 4]),
        ("UINT64", [0, 2**64 - 1, 1, 2, 3, 4]),
        ("INT8", [-128, 127, 1, 2, 3, 4]),
        ("INT16", [-(2**15), 2**15 - 1, 1, 2, 3, 4]),
        ("INT32", [-(2**31), 2**31 - 1, 1, 2, 3, 4]),
        ("INT64", [-(2**63), 2**63 - 1, 1, 2, 3, 4]),
        ("FP16", [0.5, -2.0, 65504.0, float("inf"), 0.0, 1.0]),
        ("FP32", [0.5, -2.0, 2.0**126, float("-inf"), 0.0, 1.0]),
        ("FP64", [0.1, -2.0, 1e308, float("inf"), 0.0, 5e-324]),
        ("BYTES", [b"Noordwest", b"", "Curaçao".encode(), b"a" * 70_000, b"\0", b"x"]),
    ],
)
def test_every_datatype_goes_in_and_out_as_bytes(
    model_servers: dict[str, ModelServer], datatype: str, values: list[Any]
) -> None:
    data = pack(datatype, values)
    body = {
        "inputs": [tensor("any", datatype, [2, 3], data)],
        "parameters": {"binary_data_output": True},
    }
    answer = send(model_servers["mirror"], body, data)
    (output, returned) = outputs(answer)["output-1"]
    assert (output["datatype"], output["shape"]) == (datatype, [2, 3])
    assert output["parameters"]["binary_data_size"] == len(data)
    assert returned == values


def test_bytes_that_are_no_text_stay_bytes(model_servers: dict[str, ModelServer]) -> None:
    values = [b"\xff\xfe", b"\0\x80"]
    data = pack("BYTES", values)
    body = {"inputs": [tensor("any", "BYTES", [2], data)], "parameters": {"binary_data_output": True}}
    assert outputs(send(model_servers["mirror"], body, data))["output-1"][1] == values
    body["parameters"] = {}
    (output, returned) = outputs(send(model_servers["mirror"], body, data))["output-1"]
    assert (output["parameters"]["content_type"], base64.b64decode(returned[0])) == ("base64", values[0])


def test_columns_of_a_table_in_both_forms_are_the_same_request(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["echo"]
    number, text, blob = (
        pack("FP32", [1.5, 2.5]),
        pack("BYTES", [b"a", b"\xc3\xa9"]),
        pack("BYTES", [b"\0", b""]),
    )
    when = pack("BYTES", [b"2026-11-22T10:00:00", b"2026-11-23T10:00:00Z"])
    inputs = [
        tensor("number", "FP32", [2, 1], number),
        {"name": "a_long", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        tensor("a_string", "BYTES", [2], text),
        tensor("a_binary", "BYTES", [2], blob),
        tensor("a_datetime", "BYTES", [2], when),
        tensor("a_boolean", "BOOL", [2], b"\1\0"),
        tensor("a_integer", "FP64", [2], pack("FP64", [7.0, -1.0])),
    ]
    sent = [number, text, blob, when, b"\1\0", pack("FP64", [7.0, -1.0])]
    wanted = [{"name": "number", "parameters": {"binary_data": True}}, {"name": "a_long"}]
    wanted += [{"name": name, "parameters": {"binary_data": True}} for name in ("a_string", "a_binary")]
    wanted += [{"name": "a_datetime"}, {"name": "a_boolean"}, {"name": "a_integer"}]
    found = outputs(send(server, {"inputs": inputs, "outputs": wanted}, *sent))
    assert {name: values for name, (_, values) in found.items()} == {
        "number": [1.5, 2.5],
        "a_long": [1, 2],
        "a_string": [b"a", b"\xc3\xa9"],
        "a_binary": [b"\0", b""],
        "a_datetime": ["2026-11-22T10:00:00.000000000", "2026-11-23T10:00:00.000000000"],
        "a_boolean": [True, False],
        "a_integer": [7, -1],
    }


def test_json_in_may_have_bytes_out(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    rows = {"name": "input-0", "shape": [1, 4], "datatype": "FP32", "data": [6.8, 2.8, 4.8, 1.4]}
    answer = server.infer(rows, parameters={"binary_data_output": True})
    assert outputs(answer)["output-1"][1] == [1]
    assert "data" not in outputs(answer)["output-1"][0]
    single = [{"name": "output-1", "parameters": {"binary_data": False}}]
    assert server.infer(rows, parameters={"binary_data_output": True}, outputs=single).json["outputs"][0][
        "data"
    ]


def test_an_output_with_missing_strings_stays_json(model_servers: dict[str, ModelServer]) -> None:
    inputs = [
        {"name": "number", "shape": [1], "datatype": "FP64", "data": [None]},
        {"name": "a_string", "shape": [1], "datatype": "BYTES", "data": [None]},
    ]
    answer = model_servers["echo"].infer(*inputs, parameters={"binary_data_output": True})
    found = outputs(answer)
    assert found["a_string"][1] == [None]
    [value] = found["number"][1]
    assert value != value  # NaN: bytes have it


def test_the_server_says_that_it_can(model_servers: dict[str, ModelServer]) -> None:
    assert "binary_tensor_data" in model_servers["iris"].ask("/v2").json["extensions"]


DATA = pack("FP32", [6.8, 2.8, 4.8, 1.4])
ROW = tensor("input-0", "FP32", [1, 4], DATA)


@pytest.mark.parametrize(
    ("body", "data", "header", "said"),
    [
        ({"inputs": [ROW]}, DATA, "-1", "must be a number of bytes"),
        ({"inputs": [ROW]}, DATA, "1e2", "must be a number of bytes"),
        ({"inputs": [ROW]}, DATA, "9" * 30, "must be a number of bytes"),
        ({"inputs": [ROW]}, DATA, 10**6, "the body has"),
        ({"inputs": [ROW]}, DATA, 0, "empty"),
        ({"inputs": [ROW]}, DATA, 5, "not valid JSON"),
        ({"inputs": [ROW]}, DATA[:-1], None, "binary_data_size is 16, 15 bytes are left"),
        ({"inputs": [ROW]}, DATA + b"x", None, "1 bytes of the body belong to no input"),
        ({"inputs": [ROW, ROW]}, DATA, None, "binary_data_size is 16, 0 bytes are left"),
        ({"inputs": [{**ROW, "shape": [1, 5]}]}, DATA, None, "FP32 of shape [1, 5] is 20 bytes, not 16"),
        ({"inputs": [{**ROW, "shape": [2**31 - 1] * 32}]}, DATA, None, "bytes, not 16"),
        ({"inputs": [{**ROW, "datatype": "FP64"}]}, DATA, None, "FP64 of shape [1, 4] is 32 bytes, not 16"),
        ({"inputs": [{**ROW, "datatype": "FP8"}]}, DATA, None, "unknown datatype 'FP8'"),
        ({"inputs": [{**ROW, "data": [1, 2, 3, 4]}]}, DATA, None, "both data and binary_data_size"),
        ({"inputs": [{**ROW, "parameters": {"binary_data_size": "16"}}]}, DATA, None, "number of bytes"),
        ({"inputs": [{**ROW, "parameters": {"binary_data_size": -1}}]}, DATA, None, "number of bytes"),
        ({"inputs": [{**ROW, "parameters": {"binary_data_size": True}}]}, DATA, None, "number of bytes"),
        ({"inputs": [{**ROW, "datatype": "BYTES"}]}, DATA, None, "element 0 has"),
        ({"inputs": [{**ROW, "datatype": "BYTES", "shape": [2**30]}]}, DATA, None, "cannot hold"),
        ({"inputs": [{**ROW, "datatype": "BYTES", "shape": [1]}]}, b"\0" * 16, None, "data has 4"),
        ({"inputs": [{**ROW, "datatype": "BOOL", "shape": [16]}]}, b"\2" * 16, None, "a byte 0 or 1"),
        ({"inputs": [ROW], "parameters": {"binary_data_output": 1}}, DATA, None, "must be true or false"),
        (
            {"inputs": [ROW], "outputs": [{"name": "output-1", "parameters": {"binary_data": "yes"}}]},
            DATA,
            None,
            "must be true or false",
        ),
    ],
)
def test_what_does_not_add_up_is_refused(
    model_servers: dict[str, ModelServer], body: dict[str, Any], data: bytes, header: Any, said: str
) -> None:
    answer = send(model_servers["iris"], body, data, header=header)
    assert answer.status == 400
    assert said in answer.error


def test_binary_data_needs_its_header(model_servers: dict[str, ModelServer]) -> None:
    answer = model_servers["iris"].infer(ROW)
    assert (answer.status, "needs the header" in answer.error) == (400, True)


@pytest.mark.parametrize(
    ("name", "datatype", "data", "said"),
    [
        ("a_string", "BYTES", pack("BYTES", [b"\xff"]), "expected a string in UTF-8"),
        ("a_string", "FP32", pack("FP32", [1.0]), "expected a string, got 1.0"),
        ("a_long", "FP64", pack("FP64", [1.5]), "expected an integer, got 1.5"),
        ("a_long", "UINT64", pack("UINT64", [2**63]), "expected an integer from"),
        ("a_long", "FP64", pack("FP64", [float("nan")]), "expected an integer"),
        ("a_integer", "INT64", pack("INT64", [2**31]), "expected an integer from -2147483648"),
        ("a_long", "BOOL", b"\1", "expected an integer, got True"),
        ("a_double", "BOOL", b"\1", "expected a number, got True"),
        ("a_double", "BYTES", pack("BYTES", [b"abc"]), "expected a number, got 'abc'"),
        ("a_boolean", "INT8", pack("INT8", [2]), "expected true or false, got 2"),
        ("a_boolean", "FP32", pack("FP32", [1.0]), "expected true or false, got 1.0"),
        ("a_datetime", "INT64", pack("INT64", [5]), "ISO 8601"),
        ("a_binary", "INT64", pack("INT64", [5]), "base64"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    model_servers: dict[str, ModelServer], name: str, datatype: str, data: bytes, said: str
) -> None:
    number = {"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}
    answer = send(model_servers["echo"], {"inputs": [number, tensor(name, datatype, [1], data)]}, data)
    assert answer.status == 400
    assert answer.error.startswith(f"inputs[1] ({name}), data[0]: ")
    assert said in answer.error
