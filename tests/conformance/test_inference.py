"""The interface ``inference``: what whoever serves a model over REST has to do.

The suite needs a base URL and the name of a deployment of the waiting-times model (four columns of
strings, one number). It runs against the model server itself and against a deployment on the starter
platform, through its gateway; ``MILLPOND_INFERENCE`` names another as ``http://HOST:PORT[#HOST-HEADER]/NAME``.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from millpond.serving.client import ServingClient
from millpond.serving.openinference import METHODS, SERVICE
from model_servers import Answer, ask

# The request body of the seed's own test file: strings, typed FP32.
SEED = b"""{
  "parameters": {"content_type": "pd"},
  "inputs": [
    {"name": "TYPE_WACHTTIJD",      "shape": [1], "datatype": "FP32", "data": ["Polikliniekbezoek"]},
    {"name": "SPECIALISME",         "shape": [1], "datatype": "FP32", "data": ["Orthopedie (305)"]},
    {"name": "ROAZ_REGIO",          "shape": [1], "datatype": "FP32", "data": ["Noordwest"]},
    {"name": "TYPE_ZORGINSTELLING", "shape": [1], "datatype": "FP32", "data": ["Kliniek"]}]}"""
COLUMNS = [item["name"] for item in json.loads(SEED)["inputs"]]


@dataclass(frozen=True)
class Endpoint:
    """A deployment under its base URL; `grpc` is the port of V2 over gRPC, None where there is none."""

    port: int
    name: str
    host: str | None = None
    grpc: int | None = None

    def ask(self, path: str, body: Any = None, **options: Any) -> Answer:
        """One request."""
        headers = dict(options.pop("headers", {}))
        if self.host is not None:
            headers["host"] = self.host
        return ask(self.port, path, body, headers=headers, **options)

    def infer(self, body: Any) -> Answer:
        """A V2 prediction."""
        return self.ask(f"/v2/models/{self.name}/infer", body)

    def predict(self, body: Any) -> Answer:
        """A V1 prediction."""
        return self.ask(f"/v1/models/{self.name}:predict", body)

    def infer_bytes(self, body: Any, tail: bytes) -> Answer:
        """A V2 prediction with binary data behind its JSON."""
        head = json.dumps(body).encode()
        headers = {"inference-header-content-length": str(len(head))}
        return self.ask(f"/v2/models/{self.name}/infer", head + tail, headers=headers)

    @contextmanager
    def methods(self) -> Iterator[Callable[..., Any]]:
        """Calls of V2 over gRPC, by method and fields."""
        if self.grpc is None:
            pytest.skip("no port of gRPC is named")
        options = [("grpc.default_authority", self.host)] if self.host is not None else []
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc}", options) as channel:

            def call(method: str, **fields: Any) -> Any:
                wanted, given = METHODS[method]
                ask = channel.unary_unary(f"/{SERVICE}/{method}")
                return given.FromString(ask(wanted(**fields).SerializeToString(), timeout=30))

            yield call


@contextmanager
def _model_server(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """The model server's own process."""
    server = request.getfixturevalue("model_servers")["waiting"]
    yield Endpoint(server.port, server.name, grpc=server.grpc_port)


@contextmanager
def _platform(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """A deployment on the starter platform, through its gateway."""
    environment = request.getfixturevalue("environment")
    client = ServingClient.from_env(environment)
    name = "conformance-waiting"
    model = {
        "modelFormat": {"name": "mlflow"},
        "protocolVersion": "grpc-v2",
        "storageUri": str(request.getfixturevalue("models") / "waiting"),
    }
    metadata = {"name": name}
    client.apply({"metadata": metadata, "spec": {"predictor": {"model": model}}}, wait=120)
    try:
        port = int(environment["MILLPOND_GATEWAY_URL"].rpartition(":")[2])
        yield Endpoint(port, name, f"{name}.localhost:{port}", grpc=port)
    finally:
        client.delete(name)


@contextmanager
def _named(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """What ``MILLPOND_INFERENCE`` names, and the port of gRPC in ``MILLPOND_INFERENCE_GRPC``."""
    rpc = os.environ.get("MILLPOND_INFERENCE_GRPC")
    base, _, name = os.environ["MILLPOND_INFERENCE"].rpartition("/")
    address, _, host = base.removeprefix("http://").partition("#")
    yield Endpoint(int(address.rpartition(":")[2]), name, host or None, int(rpc) if rpc else None)


Recipe = Callable[[pytest.FixtureRequest], AbstractContextManager[Endpoint]]
RECIPES: list[Any] = [
    pytest.param(_model_server, id="model-server", marks=pytest.mark.slow),
    pytest.param(_platform, id="platform", marks=pytest.mark.slow),
]
if os.environ.get("MILLPOND_INFERENCE"):
    RECIPES = [pytest.param(_named, id="named")]


@pytest.fixture(scope="module", params=RECIPES)
def endpoint(request: pytest.FixtureRequest) -> Iterator[Endpoint]:
    """Each recipe in turn."""
    recipe: Recipe = request.param
    with recipe(request) as found:
        yield found


def seed(**changes: Any) -> dict[str, Any]:
    """The seed's body with some of its inputs' keys changed, by column."""
    body: dict[str, Any] = json.loads(SEED)
    for item in body["inputs"]:
        item.update(changes.get(item["name"], {}))
    return body


def packed(body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """A body with its strings as bytes, and these."""
    tail = b""
    for item in body["inputs"]:
        data = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in item.pop("data"))
        item |= {"datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}
        tail += data
    return body, tail


def number(answer: Answer) -> float:
    """The one number of a V2 answer."""
    assert answer.status == 200, answer.body
    [output] = answer.json["outputs"]
    [value] = output["data"]
    assert isinstance(value, float)
    return value


def test_health_and_readiness(endpoint: Endpoint) -> None:
    for path in ("/v2/health/live", "/v2/health/ready", f"/v2/models/{endpoint.name}/ready"):
        assert endpoint.ask(path).status == 200, path
    ready = endpoint.ask(f"/v1/models/{endpoint.name}").json
    assert ready == {"name": endpoint.name, "ready": True}
    assert endpoint.name in endpoint.ask("/v1/models").json["models"]


def test_server_and_model_metadata(endpoint: Endpoint) -> None:
    assert {"name", "version", "extensions"} <= endpoint.ask("/v2").json.keys()
    found = endpoint.ask(f"/v2/models/{endpoint.name}").json
    assert found["name"] == endpoint.name
    assert [item["name"] for item in found["inputs"]] == COLUMNS
    assert {item["datatype"] for item in found["inputs"]} == {"BYTES"}
    assert [item["datatype"] for item in found["outputs"]] == ["FP64"]
    [version] = found["versions"]
    assert endpoint.ask(f"/v2/models/{endpoint.name}/versions/{version}").json == found


def test_the_seeds_body_verbatim_gets_one_number(endpoint: Endpoint) -> None:
    answer = endpoint.infer(SEED)
    assert number(answer) > 0
    [output] = answer.json["outputs"]
    assert (output["name"], output["shape"], output["datatype"]) == ("output-1", [1, 1], "FP64")
    assert answer.json["model_name"] == endpoint.name


def test_bytes_is_the_right_type_and_means_the_same(endpoint: Endpoint) -> None:
    as_bytes = seed(**{name: {"datatype": "BYTES"} for name in COLUMNS})
    assert number(endpoint.infer(as_bytes)) == number(endpoint.infer(SEED))


def test_an_unseen_region_gets_a_prediction(endpoint: Endpoint) -> None:
    assert number(endpoint.infer(seed(ROAZ_REGIO={"data": ["Onbekend"]}))) > 0


def test_a_column_may_be_written_as_a_column_vector(endpoint: Endpoint) -> None:
    vectors = seed(**{name: {"shape": [1, 1]} for name in COLUMNS})
    assert number(endpoint.infer(vectors)) == number(endpoint.infer(SEED))


def test_v1_rows_by_name_by_order_and_columns_agree_with_v2(endpoint: Endpoint) -> None:
    row = {item["name"]: item["data"][0] for item in json.loads(SEED)["inputs"]}
    expected = {"predictions": [number(endpoint.infer(SEED))]}
    assert endpoint.predict({"instances": [row]}).json == expected
    assert endpoint.predict({"instances": [list(row.values())]}).json == expected
    assert endpoint.predict({"inputs": {name: [value] for name, value in row.items()}}).json == expected


def test_many_rows_keep_their_order(endpoint: Endpoint) -> None:
    regions = ["Noordwest", "Oost"] * 50
    many = seed(**{name: {"shape": [100]} for name in COLUMNS})
    for item in many["inputs"]:
        item["data"] = regions if item["name"] == "ROAZ_REGIO" else item["data"] * 100
    [output] = endpoint.infer(many).json["outputs"]
    alone = [number(endpoint.infer(seed(ROAZ_REGIO={"data": [region]}))) for region in regions[:2]]
    assert output["shape"] == [100, 1]
    assert output["data"] == alone * 50


def test_the_requests_id_comes_back(endpoint: Endpoint) -> None:
    assert endpoint.infer({**seed(), "id": "abc-1"}).json["id"] == "abc-1"
    path = f"/v2/models/{endpoint.name}/infer"
    answer = endpoint.ask(path, SEED, headers={"x-request-id": "here-i-am"})
    assert answer.headers["x-request-id"] == "here-i-am"


def test_every_answer_has_an_id(endpoint: Endpoint) -> None:
    for path, body in (
        (f"/v2/models/{endpoint.name}/infer", SEED),
        (f"/v2/models/{endpoint.name}/infer", b"{"),
        (f"/v1/models/{endpoint.name}:predict", b"{}"),
        (f"/v2/models/{endpoint.name}", None),
        (f"/v2/models/{endpoint.name}/nonsense", None),
    ):
        answer = endpoint.ask(path, body)
        assert answer.headers["x-request-id"], path
        assert answer.headers["content-type"].startswith("application/json")
    first, second = (endpoint.infer(SEED).headers["x-request-id"] for _ in range(2))
    assert first != second


def test_an_output_can_be_chosen_by_its_name(endpoint: Endpoint) -> None:
    chosen = {**seed(), "outputs": [{"name": "output-1"}]}
    assert number(endpoint.infer(chosen)) == number(endpoint.infer(SEED))


def test_tensors_as_bytes_mean_the_same(endpoint: Endpoint) -> None:
    assert "binary_tensor_data" in endpoint.ask("/v2").json["extensions"]
    head, tail = packed(seed())
    head["parameters"]["binary_data_output"] = True
    answer = endpoint.infer_bytes(head, tail)
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    [output] = json.loads(answer.body[:length])["outputs"]
    assert output["parameters"]["binary_data_size"] == len(answer.body) - length == 8
    assert struct.unpack("<d", answer.body[length:]) == (number(endpoint.infer(SEED)),)


def test_bytes_that_do_not_add_up_are_refused(endpoint: Endpoint) -> None:
    head, tail = packed(seed())
    for body, data in ((head, tail[:-1]), (head, tail + b"x"), (head, b""), ({**head, "inputs": []}, tail)):
        answer = endpoint.infer_bytes(body, data)
        assert answer.status == 400
        assert answer.error
    assert endpoint.infer(head).status == 400, "without the header"


def test_the_repository_lists_the_model(endpoint: Endpoint) -> None:
    assert "model_repository" in endpoint.ask("/v2").json["extensions"]
    [entry] = endpoint.ask("/v2/repository/index", {}).json
    assert (entry["name"], entry["state"], entry["reason"]) == (endpoint.name, "READY", "")
    assert endpoint.ask(f"/v2/repository/models/{endpoint.name}/load", {}).status == 200
    assert endpoint.ask(f"/v2/repository/models/{endpoint.name}/unload", {}).status == 409
    assert endpoint.ask("/v2/health/ready").status == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"reward": 1}, "x-request-id"),
        ({"id": "a"}, "both missing"),
        ({"id": "a", "reward": "good"}, "number"),
        (b"{", "JSON"),
    ],
)
def test_what_is_no_feedback_is_refused(endpoint: Endpoint, body: Any, said: str) -> None:
    for path in (f"/v2/models/{endpoint.name}/feedback", f"/v1/models/{endpoint.name}:feedback"):
        answer = endpoint.ask(path, body)
        assert (answer.status, said in answer.error) == (400, True)


def test_grpc_tells_the_same_as_rest(endpoint: Endpoint) -> None:
    with endpoint.methods() as call:
        assert call("ServerLive").live and call("ServerReady").ready
        assert call("ModelReady", name=endpoint.name).ready
        server, model = call("ServerMetadata"), call("ModelMetadata", name=endpoint.name)
    rest = endpoint.ask("/v2").json
    assert (server.name, server.version, list(server.extensions)) == tuple(rest.values())
    expected = endpoint.ask(f"/v2/models/{endpoint.name}").json
    assert list(model.versions) == expected["versions"]
    for found, wanted in ((model.inputs, expected["inputs"]), (model.outputs, expected["outputs"])):
        assert [(item.name, item.datatype, list(item.shape)) for item in found] == [
            (item["name"], item["datatype"], item["shape"]) for item in wanted
        ]


# Raw contents are what their datatype says; typed ones are taken under another one too.
@pytest.mark.parametrize(("datatype", "raw"), [("BYTES", False), ("FP32", False), ("BYTES", True)])
def test_grpc_predicts_the_same_as_rest(endpoint: Endpoint, datatype: str, raw: bool) -> None:
    texts = {item["name"]: item["data"][0].encode() for item in json.loads(SEED)["inputs"]}
    fields: dict[str, Any] = {"inputs": []}
    for name, text in texts.items():
        contents = {} if raw else {"contents": {"bytes_contents": [text]}}
        fields["inputs"].append({"name": name, "datatype": datatype, "shape": [1], **contents})
    if raw:
        fields["raw_input_contents"] = [struct.pack("<I", len(text)) + text for text in texts.values()]
    with endpoint.methods() as call:
        answer = call("ModelInfer", model_name=endpoint.name, id="abc", **fields)
    assert (answer.model_name, answer.id) == (endpoint.name, "abc")
    [output] = answer.outputs
    assert (output.name, output.datatype, list(output.shape)) == ("output-1", "FP64", [1, 1])
    expected = number(endpoint.infer(SEED))
    if raw:
        assert list(answer.raw_output_contents) == [struct.pack("<d", expected)]
    else:
        assert list(output.contents.fp64_contents) == [expected]


def test_grpc_refuses_by_code_and_sentence(endpoint: Endpoint) -> None:
    lone = {"name": COLUMNS[0], "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"a"]}}
    for fields, code, said in (
        ({"model_name": "other", "inputs": [lone]}, grpc.StatusCode.NOT_FOUND, "other"),
        ({"model_name": endpoint.name, "inputs": [lone]}, grpc.StatusCode.INVALID_ARGUMENT, "missing"),
        ({"model_name": endpoint.name}, grpc.StatusCode.INVALID_ARGUMENT, "no rows"),
    ):
        with endpoint.methods() as call, pytest.raises(grpc.RpcError) as error:
            call("ModelInfer", **fields)
        assert (error.value.code(), said in error.value.details()) == (code, True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"inputs": [NaN]}', "JSON"),
        (b"[]", "object"),
        (b"{}", "inputs is missing"),
        ({"inputs": {}}, "list"),
        ({"inputs": []}, "no rows"),
        ({"inputs": [1]}, "inputs[0]"),
        ({"inputs": [{}]}, "name is missing"),
        ({"inputs": [{"name": "a", "shape": [1], "datatype": "FP32"}]}, "data is missing"),
        (seed(SPECIALISME={"name": "SPECIALISM"}), "did you mean SPECIALISME?"),
        ({**seed(), "inputs": seed()["inputs"][1:]}, "TYPE_WACHTTIJD"),
        ({**seed(), "inputs": seed()["inputs"] + seed()["inputs"][:1]}, "twice"),
        (seed(ROAZ_REGIO={"data": [5]}), "inputs[2] (ROAZ_REGIO), data[0]"),
        (seed(ROAZ_REGIO={"data": [["Oost"]]}), "ROAZ_REGIO"),
        (seed(ROAZ_REGIO={"data": [{}]}), "ROAZ_REGIO"),
        (seed(ROAZ_REGIO={"data": ["Oost", "Oost"]}), "shape [1] holds 1 values, data has 2"),
        (seed(ROAZ_REGIO={"shape": [2], "data": ["Oost", "Oost"]}), "has 2"),
        (seed(ROAZ_REGIO={"shape": [-1]}), "shape"),
        (seed(ROAZ_REGIO={"shape": "1"}), "shape"),
        (seed(ROAZ_REGIO={"datatype": "STRING"}), "unknown datatype 'STRING'"),
        (seed(**{name: {"shape": [0], "data": []} for name in COLUMNS}), "no rows"),
        ({**seed(), "parameters": {"content_type": "xml"}}, "xml"),
        ({**seed(), "outputs": [{"name": "other"}]}, "unknown output other"),
    ],
)
def test_a_bad_v2_body_is_a_400_that_names_the_mistake(endpoint: Endpoint, body: Any, said: str) -> None:
    answer = endpoint.infer(body)
    assert answer.status == 400
    assert said in answer.error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "instances is missing"),
        ({"instances": 5}, "list of rows"),
        ({"instances": []}, "no rows"),
        ({"instances": [{}]}, "no columns"),
        ({"instances": [1]}, "rows of 4 columns"),
        ({"instances": [["a", "b"]]}, "takes 4"),
        ({"instances": [["a", "b", "c", "d"], ["a"]]}, "instances[1]"),
        ({"instances": [dict.fromkeys(COLUMNS, "a"), {"b": 1}]}, "instances[1]"),
        ({"instances": [{**dict.fromkeys(COLUMNS, "a"), "REGIO": "b"}]}, "unknown column REGIO"),
        ({"instances": [{**dict.fromkeys(COLUMNS, "a"), "SPECIALISME": 5}]}, "instances[0].SPECIALISME"),
        ({"inputs": {"SPECIALISME": ["a"]}}, "missing"),
        ({"instances": [], "inputs": {}}, "both"),
    ],
)
def test_a_bad_v1_body_is_a_400_that_names_the_mistake(endpoint: Endpoint, body: Any, said: str) -> None:
    answer = endpoint.predict(body)
    assert answer.status == 400
    assert said in answer.error


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v2/models/other", None, 404),
        ("/v2/models/other/infer", SEED, 404),
        ("/v1/models/other:predict", SEED, 404),
        ("/v2/models/{name}/versions/999/infer", SEED, 404),
        ("/v2/models/{name}/nonsense", None, 404),
        ("/v2/models/{name}/infer", None, 405),
        ("/v2/models/{name}", b"{}", 405),
    ],
)
def test_wrong_paths_and_methods(endpoint: Endpoint, path: str, body: Any, status: int) -> None:
    answer = endpoint.ask(path.replace("{name}", endpoint.name), body)
    assert answer.status == status
    assert answer.error


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_tensor = st.fixed_dictionaries(
    {
        "name": st.sampled_from(COLUMNS) | _json,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | _json,
        "datatype": st.sampled_from(["BYTES", "FP32", "INT64", "BOOL"]) | _json,
        "data": st.lists(st.text(max_size=5) | st.integers() | st.none(), max_size=3) | _json,
    },
    optional={"parameters": _json},
)
_fuzz = settings(
    max_examples=100,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_fuzz
@given(body=st.fixed_dictionaries({"inputs": st.lists(_tensor, max_size=5) | _json}, optional={"id": _json}))
def test_no_v2_body_breaks_the_server(endpoint: Endpoint, body: Any) -> None:
    answer = endpoint.infer(json.dumps(body).encode())
    assert answer.status in (200, 400)
    assert answer.json


@_fuzz
@given(data=st.dictionaries(st.sampled_from(COLUMNS), _json, min_size=4) | _json, rows=st.booleans())
def test_no_v1_body_breaks_the_server(endpoint: Endpoint, data: Any, rows: bool) -> None:
    answer = endpoint.predict({"instances": [data]} if rows else {"inputs": data})
    assert answer.status in (200, 400)
    assert answer.json


@_fuzz
@given(body=st.binary(max_size=200))
def test_no_bytes_break_the_server(endpoint: Endpoint, body: bytes) -> None:
    assert endpoint.infer(body).status == 400


def test_health_is_answered_while_predictions_run(endpoint: Endpoint) -> None:
    done = threading.Event()
    statuses: list[int] = []

    def predict() -> None:
        while not done.is_set():
            statuses.append(endpoint.infer(SEED).status)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            began = time.monotonic()
            assert endpoint.ask("/v2/health/ready").status == 200
            assert time.monotonic() - began < 2
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
