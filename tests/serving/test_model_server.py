"""The model server beyond the conformance suite: every datatype, tensors, limits, failures, its life."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from model_servers import ModelServer

NUMBER = {"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}


def column(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    """A V2 input with one value per row."""
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": list(data)}


@pytest.mark.parametrize(
    ("kind", "datatype", "sent", "declared", "returned"),
    [
        ("boolean", "BOOL", True, "BOOL", True),
        ("boolean", "FP32", "false", "BOOL", False),
        ("integer", "INT32", 7, "INT32", 7),
        ("integer", "FP32", 7.0, "INT32", 7),
        ("integer", "BYTES", "7", "INT32", 7),
        ("long", "INT64", 2**62, "INT64", 2**62),
        ("float", "FP32", 0.1, "FP32", 0.1),
        ("float", "FP32", "0.5", "FP32", 0.5),
        ("double", "FP64", None, "FP64", None),
        ("double", "FP64", "Infinity", "FP64", None),
        ("double", "INT8", 3, "FP64", 3.0),
        ("string", "FP32", "Noordwest", "BYTES", "Noordwest"),
        ("string", "BYTES", None, "BYTES", None),
        ("binary", "BYTES", base64.b64encode(b"\0\xff").decode(), "BYTES", "AP8="),
        ("datetime", "BYTES", "2026-11-22T10:00:00+02:00", "BYTES", "2026-11-22T08:00:00.000000000"),
    ],
)
def test_the_signature_decides_what_a_value_becomes(
    model_servers: dict[str, ModelServer], kind: str, datatype: str, sent: Any, declared: str, returned: Any
) -> None:
    answer = model_servers["echo"].infer(NUMBER, column(f"a_{kind}", datatype, sent))
    assert answer.status == 200, answer.body
    output = next(item for item in answer.json["outputs"] if item["name"] == f"a_{kind}")
    assert (output["datatype"], output["shape"]) == (declared, [1, 1])
    assert output["data"] == [returned]


@pytest.mark.parametrize(
    ("kind", "sent", "said"),
    [
        ("boolean", 2, "expected true or false, got 2"),
        ("boolean", None, "expected true or false, got None"),
        ("integer", 2.5, "expected an integer, got 2.5"),
        ("integer", 2**31, "from -2147483648 to 2147483647"),
        ("integer", None, "cannot hold missing values"),
        ("long", True, "expected an integer, got True"),
        ("double", "abc", "expected a number, got 'abc'"),
        ("double", True, "expected a number, got True"),
        ("double", {"a": 1}, "expected a number"),
        ("string", 5, "expected a string, got 5"),
        ("binary", "%", "base64"),
        ("datetime", "tomorrowish", "ISO 8601"),
        ("datetime", 5, "ISO 8601"),
    ],
)
def test_a_wrong_value_is_refused_with_its_place(
    model_servers: dict[str, ModelServer], kind: str, sent: Any, said: str
) -> None:
    answer = model_servers["echo"].infer(NUMBER, column(f"a_{kind}", "FP64", sent))
    assert answer.status == 400
    assert answer.error.startswith(f"inputs[1] (a_{kind}), data[0]: ")
    assert said in answer.error


def test_a_table_answers_with_an_output_per_column(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["echo"]
    rows = [{"number": 1, "a_string": "x"}, {"number": None, "a_string": "y"}]
    assert server.predict({"instances": rows}).json == {
        "predictions": [{"a_string": "x", "number": 1.0}, {"a_string": "y", "number": None}]
    }
    found = server.infer(column("number", "FP64", 1, 2), outputs=[{"name": "number"}]).json
    assert found["parameters"] == {"content_type": "pd"}
    assert [(item["name"], item["shape"], item["data"]) for item in found["outputs"]] == [
        ("number", [2, 1], [1.0, 2.0])
    ]


def test_a_matrix_is_read_in_the_signatures_order(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    rows = [[6.8, 2.8, 4.8, 1.4], [5.1, 3.5, 1.4, 0.2]]
    nested = {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": rows}
    flat = {**nested, "data": rows[0] + rows[1]}
    for tensor in (nested, flat):
        [output] = server.infer(tensor).json["outputs"]
        assert (output["datatype"], output["shape"], output["data"]) == ("INT64", [2, 1], [1, 0])
    assert "the model takes 4" in server.infer({**flat, "shape": [4, 2]}).error
    ragged = {**nested, "data": [rows[0], rows[1][:3]]}
    assert server.infer(ragged).status == 400


def test_tensors_are_shaped(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["sums"]
    tensor = {"name": "any", "shape": [2, 2, 3], "datatype": "FP32", "data": list(range(12))}
    [output] = server.infer(tensor).json["outputs"]
    assert (output["datatype"], output["shape"], output["data"]) == ("FP32", [2, 1], [15.0, 51.0])
    assert server.predict({"instances": [[[0, 1, 2], [3, 4, 5]]]}).json == {"predictions": [15.0]}
    wrong = server.infer({**tensor, "shape": [2, 3, 2]})
    assert (wrong.status, "the model takes [-1, 2, 3]" in wrong.error) == (400, True)
    [declared] = server.ask(f"/v2/models/{server.name}").json["inputs"]
    assert (declared["datatype"], declared["shape"]) == ("FP32", [-1, 2, 3])


def test_without_a_signature_the_values_decide(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["nosignature"]
    names = ["TYPE_WACHTTIJD", "SPECIALISME", "ROAZ_REGIO", "TYPE_ZORGINSTELLING"]
    values = ["Behandeling", "KNO (302)", "Oost", "Kliniek"]
    inputs = [column(name, "FP32", value) for name, value in zip(names, values, strict=True)]
    answer = server.infer(*inputs, parameters={"content_type": "pd"})
    assert answer.status == 200, answer.body
    unseen = server.infer(*inputs[:2], column("ROAZ_REGIO", "BYTES", "Mars"), inputs[3])
    assert unseen.status == 500
    assert "unknown categories ['Mars']" in unseen.error


def test_columns_of_arrays_objects_and_anything(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["kinds"]
    row = {"number": 1.0, "an_array": [1.0, 2.0], "an_object": {"a": 1}, "anything": {"b": [None]}}
    assert server.predict({"instances": [row, {**row, "an_array": []}]}).json == {
        "predictions": [row, {**row, "an_array": []}]
    }
    number = column("number", "FP64", 1, 2)
    array = {"name": "an_array", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
    texts = column("an_object", "BYTES", '{"a": 1}', '{"a": 2}')
    found = server.infer(number, array, {**texts, "parameters": {"content_type": "pd_json"}})
    assert {item["name"]: item["data"] for item in found.json["outputs"]} == {
        "an_array": [[1.0, 2.0], [3.0, 4.0]],
        "an_object": [{"a": 1}, {"a": 2}],
        "number": [1.0, 2.0],
    }
    wrong = server.predict({"instances": [{"number": 1.0, "an_array": "no"}]})
    assert (wrong.status, "Expected data to be list" in wrong.error) == (400, True)


def test_what_a_model_checks_itself_is_the_clients_mistake(model_servers: dict[str, ModelServer]) -> None:
    answer = model_servers["iris"].predict({"instances": [[1, 2, 3, None]]})
    assert (answer.status, "refuses its input: ValueError: Input X contains NaN" in answer.error) == (
        400,
        True,
    )


@pytest.mark.parametrize(
    ("content_type", "sent", "returned", "kept"),
    [
        ("str", "5", "5", "str"),
        ("base64", "AP8=", "AP8=", "base64"),
        ("datetime", "2026-11-22T10:00:00+02:00", "2026-11-22T08:00:00.000000000", "datetime"),
        ("pd_json", '{"a": [1]}', {"a": [1]}, "pd_json"),
        ("np", "x", "x", "str"),
    ],
)
def test_a_tensors_content_type_says_what_its_strings_are(
    model_servers: dict[str, ModelServer], content_type: str, sent: str, returned: Any, kept: str
) -> None:
    """MLServer's codecs, tensor by tensor, in a table as in a lone array."""
    server = model_servers["mirror"]
    one = {**column("a", "BYTES", sent), "parameters": {"content_type": content_type}}
    [output] = server.infer(one).json["outputs"]
    assert (output["data"], output["parameters"]["content_type"]) == ([returned], kept)
    table = server.infer(one, column("b", "INT64", 5), parameters={"content_type": "pd"}).json
    assert table["parameters"] == {"content_type": "pd"}
    assert [item["data"] for item in table["outputs"]] == [[returned], [5]]


def test_a_requests_content_type_says_what_it_becomes(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["mirror"]
    numbers, words = column("a", "FP64", 1, 2), column("b", "BYTES", "x", "y")
    table = server.infer(numbers, parameters={"content_type": "pd"}).json
    assert (table["parameters"], table["outputs"][0]["name"]) == ({"content_type": "pd"}, "a")
    arrays = server.infer(numbers, words, parameters={"content_type": "np"}).json
    assert "parameters" not in arrays
    assert {item["name"]: item["data"] for item in arrays["outputs"]} == {"a": [1.0, 2.0], "b": ["x", "y"]}
    [strings] = server.infer(words, parameters={"content_type": "str"}).json["outputs"]
    assert (strings["name"], strings["shape"], strings["data"]) == ("output-1", [2, 1], ["x", "y"])
    assert server.infer(numbers, parameters={"content_type": "str"}).status == 400
    assert server.predict({"instances": [{"a": 1, "b": "x"}]}).json == {"predictions": [{"a": 1, "b": "x"}]}
    assert server.predict({"inputs": {"a": [1, 2], "b": ["x", "y"]}}).json["predictions"][1] == {
        "a": 2,
        "b": "y",
    }
    assert server.predict({"inputs": [[1, 2], [3, 4]]}).json == {"predictions": [[1, 2], [3, 4]]}


def test_a_failing_model_answers_500_and_the_log_has_the_traceback(
    model_servers: dict[str, ModelServer],
) -> None:
    server = model_servers["echo"]
    path = f"/v2/models/{server.name}/infer"
    body = {"inputs": [NUMBER, column("fail", "BOOL", True)]}
    answer = server.ask(path, body, headers={"x-request-id": "find-me"})
    assert answer.status == 500
    assert answer.error == "model echo failed: RuntimeError: the model was"
    log = server.log.read_text()
    assert "find-me" in log and "Traceback" in log
    assert server.infer(NUMBER).status == 200


def test_health_is_answered_while_a_slow_model_predicts(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["echo"]
    slow = threading.Thread(target=server.infer, args=(NUMBER, column("sleep", "FP64", 1.5)))
    slow.start()
    try:
        began = time.monotonic()
        while (
            page := server.ask("/metrics").body.decode()
        ) and 'in_flight{model="echo",version="3"} 1.0' not in page:
            assert time.monotonic() - began < 1.4
        for _ in range(5):
            assert server.ask("/v2/health/live").status == 200
        assert slow.is_alive()
    finally:
        slow.join()


def test_limits(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    path = f"/v2/models/{server.name}/infer"
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", path)
    connection.putheader("content-length", str(10**12))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()
    assert server.ask(path, b"{}", headers={"content-encoding": "gzip"}).status == 415
    deep = b'{"inputs":' + b"[" * 100_000
    assert server.ask(path, deep).status == 400


@pytest.mark.parametrize("depth", [101, 300, 1000])
@pytest.mark.parametrize("column", ["number", "a_string", "anything", "an_array"])
def test_what_is_nested_too_deep_is_refused(
    model_servers: dict[str, ModelServer], column: str, depth: int
) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        value = opening * depth + "1" + closing * depth
        body = f'{{"instances": [{{"number": 1, "{column}": {value}}}]}}'.encode()
        answer = model_servers["kinds"].ask("/v1/models/kinds:predict", body)
        assert (answer.status, len(answer.error) < 300) == (400, True)


def test_metrics_and_openapi(model_servers: dict[str, ModelServer]) -> None:
    server = model_servers["iris"]
    assert server.predict({"instances": [[1, 2, 3, 4]]}).status == 200
    assert server.predict({"instances": [[1]]}).status == 400
    page = server.ask("/metrics").body.decode()
    for line in (
        'millpond_serving_requests_total{code="200",model="iris",protocol="v1",version="3"}',
        'millpond_serving_requests_total{code="400",model="iris",protocol="v1",version="3"}',
        'millpond_serving_request_seconds_bucket{le="0.001",model="iris",protocol="v1",version="3"}',
        'millpond_serving_requests_in_flight{model="iris",version="3"} 0.0',
        'millpond_serving_model_load_seconds{model="iris",version="3"}',
    ):
        assert line in page
    found = server.ask("/openapi.json").json
    example = found["paths"]["/v2/models/iris/infer"]["post"]["requestBody"]["content"]["application/json"]
    assert server.ask("/v2/models/iris/infer", example["example"]).status == 200


@pytest.mark.slow
def test_requests_in_flight_finish_before_it_stops(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    server = ModelServer(science_python, models / "echo", "echo", tmp_path / "log")
    server.start()
    found: list[int] = []
    try:
        server.wait_ready()
        idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        idle.request("GET", "/v2/health/live")
        idle.getresponse().read()
        body = json.dumps({"inputs": [NUMBER, column("sleep", "FP64", 1.5)]}).encode()
        slow = threading.Thread(target=lambda: found.append(server.ask("/v2/models/echo/infer", body).status))
        slow.start()
        while (
            "requests_in_flight" not in (page := server.ask("/metrics").body.decode())
            or " 1.0" not in (page.split("requests_in_flight{", 1)[1].split("\n", 1)[0])
        ):
            assert slow.is_alive()
        assert server.stop() == 0
        slow.join()
        idle.close()
    finally:
        server.stop()
    assert found == [200]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "said"),
    [("unloadable", "RuntimeError: this model never loads"), ("missing", "has no file MLmodel")],
)
def test_a_model_that_does_not_load_ends_the_process_with_one_sentence(
    science_python: Path, models: Path, tmp_path: Path, model: str, said: str
) -> None:
    server = ModelServer(science_python, models / model, model, tmp_path / "log")
    server.start()
    assert server.process is not None
    assert server.process.wait(60) == 1
    errors = [line for line in server.log.read_text().splitlines() if " ERROR " in line]
    assert len(errors) == 1 and said in errors[0]
    assert "Traceback" not in server.log.read_text()


@pytest.mark.slow
def test_a_taken_port_is_one_sentence(model_servers: dict[str, ModelServer], tmp_path: Path) -> None:
    running = model_servers["iris"]
    second = ModelServer(Path("unused"), Path("unused"), "iris", tmp_path / "log")
    second._command = running._command
    second.start()
    assert second.process is not None
    assert second.process.wait(60) == 1
    assert f"port {running.port} of 127.0.0.1 is taken" in second.log.read_text()
    assert isinstance(second.process, subprocess.Popen)
