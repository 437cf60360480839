"""The servers that are compared: how each is started, asked and checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PEERS = HERE / "peers"
SOURCE = HERE.parents[1] / "src"
FLIGHTS = HERE.parents[1] / "examples/flights"
HOST = "127.0.0.1"
V2 = "/v2/models/model/infer"


@dataclass(frozen=True)
class Place:
    """Where a server is to run: the model's folder, its port, a folder of its own, the interpreter."""

    model: Path
    port: int
    scratch: Path
    python: Path

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The row that is asked for."""
        found: dict[str, list[Any]] = json.loads((self.model / "request.json").read_text())
        return found

    @property
    def kind(self) -> str:
        """Which of the models it is."""
        return self.model.name


@dataclass(frozen=True)
class Server:
    """A way to serve a model.

    Attributes:
        name: in the table.
        venv: of `peers/NAME.txt`; ``science`` is Millpond's own.
        command: what starts it; the interpreter's folder is first on its PATH.
        ready: the path that answers 200 when it can predict.
        path: where predictions are asked for.
        body: the request.
        models: those that it serves.
        peer: whether it is one of those that Millpond is held against.
    """

    name: str
    venv: str
    command: Callable[[Place], list[str]]
    ready: str
    path: str
    body: Callable[[Place], Any]
    models: tuple[str, ...] = ("iris", "flights", "onnx")
    peer: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def tensors(place: Place) -> dict[str, Any]:
    """A V2 request with an input for each column."""
    if place.kind == "onnx":
        values = place.columns["features"]
        return {"inputs": [tensor("features", "FP32", values, [1, len(values)])]}
    return {
        "inputs": [
            tensor(name, "BYTES" if isinstance(values[0], str) else "FP64", values, [len(values)])
            for name, values in place.columns.items()
        ]
    }


def tensor(name: str, datatype: str, data: list[Any], shape: list[int]) -> dict[str, Any]:
    """One input."""
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


def _millpond(*options: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        onnx = place.kind == "onnx"
        folder = place.model if onnx else place.model / "mlflow"
        return [
            *(
                str(place.python),
                "-m",
                "millpond.serving.server",
                "--name",
                "model",
                "--port",
                str(place.port),
            ),
            *("--model-dir", str(folder), "--format", "onnx" if onnx else "mlflow", *options),
        ]

    return command


def _script(name: str, *options: str) -> Callable[[Place], list[str]]:
    return lambda place: [str(place.python), str(PEERS / name), str(place.port), *options]


def _mlserver(place: Place) -> list[str]:
    settings = {
        "host": HOST,
        "http_port": place.port,
        "grpc_port": place.port + 1,
        "metrics_port": place.port + 2,
        "parallel_workers": 0,
        "debug": False,
    }
    (place.scratch / "settings.json").write_text(json.dumps(settings))
    model: dict[str, Any] = {"name": "model", "implementation": "mlserver_sklearn.SKLearnModel"}
    if place.kind == "onnx":
        model["implementation"] = "mlserver_runtime.Runtime"
    else:
        model["parameters"] = {"uri": str(place.model / "model.joblib")}
    (place.scratch / "model-settings.json").write_text(json.dumps(model))
    return [str(place.python.parent / "mlserver"), "start", str(place.scratch)]


def _mlserver_body(place: Place) -> dict[str, Any]:
    """As its own runtime reads it fastest: one matrix for numbers, a table where there are strings."""
    if place.kind == "iris":
        row = [values[0] for values in place.columns.values()]
        return {"inputs": [tensor("input-0", "FP64", row, [1, len(row)])]}
    body = tensors(place)
    if place.kind == "flights":
        body["parameters"] = {"content_type": "pd"}
        for item in body["inputs"]:
            if item["datatype"] == "BYTES":
                item["parameters"] = {"content_type": "str"}
    return body


def _mlflow(place: Place) -> list[str]:
    return [
        *(str(place.python), "-m", "mlflow", "models", "serve", "-m", str(place.model / "mlflow")),
        *("--env-manager", "local", "-h", HOST, "-p", str(place.port)),
    ]


def _split(place: Place) -> dict[str, Any]:
    columns = place.columns
    return {"dataframe_split": {"columns": list(columns), "data": [[v[0] for v in columns.values()]]}}


def _bentoml(place: Place) -> list[str]:
    return [
        *(
            str(place.python.parent / "bentoml"),
            "serve",
            "bentoml_service:Served",
            "--working-dir",
            str(PEERS),
        ),
        *("--host", HOST, "--port", str(place.port)),
    ]


READY = "/v2/health/ready"
TABLES = ("iris", "flights")
SERVERS = [
    Server("millpond", "science", _millpond(), READY, V2, tensors, peer=False),
    Server(
        "millpond, uncompiled",
        "science",
        _millpond("--compile", "off"),
        READY,
        V2,
        tensors,
        TABLES,
        peer=False,
    ),
    Server("limit, same predict", "science", _script("bare.py", "predict"), "/", "/", tensors, peer=False),
    Server(
        "limit, compiled", "science", _script("bare.py", "compiled"), "/", "/", tensors, TABLES, peer=False
    ),
    Server("limit, nothing", "science", _script("bare.py", "nothing"), "/", "/", tensors, peer=False),
    Server("mlserver", "mlserver", _mlserver, READY, V2, _mlserver_body),
    Server("kserve", "kserve", _script("kserve_server.py"), "/v2/models/model/ready", V2, tensors),
    Server("litserve", "litserve", _script("litserve_server.py"), "/health", "/infer", tensors),
    Server("mlflow", "science", _mlflow, "/ping", "/invocations", _split, TABLES),
    Server(
        "bentoml",
        "bentoml",
        _bentoml,
        "/readyz",
        "/infer",
        tensors,
        environment={"BENTOML_DO_NOT_TRACK": "true"},
    ),
    Server(
        "ray",
        "ray",
        _script("ray_server.py"),
        "/-/healthz",
        "/infer",
        tensors,
        environment={"RAY_USAGE_STATS_ENABLED": "0"},
    ),
]
