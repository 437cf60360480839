"""Paths bound to the data plane: V1 and V2 REST, metrics, and the OpenAPI page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import orjson

from millpond.serving.server import v1, v2
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import (
    InvalidJSON,
    InvalidRequest,
    ModelFailed,
    NotReady,
    UnknownPath,
    WrongMethod,
)
from millpond.serving.server.metrics import Metrics
from millpond.serving.server.openapi import page

JSON = "application/json"
BINARY = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back to the client; `header_length` is set when binary data follows the JSON."""

    body: bytes
    status: int = 200
    media_type: str = JSON
    header_length: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """What a path is asked: the body, the request's id, the binary extension's header if there is one."""

    body: bytes
    identity: str
    header_length: str | None = None


Run = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path; `protocol` is set on those that predict, which read a body and take time."""

    method: str
    run: Run
    protocol: str | None = None


class Rest:
    """The table of paths. The served model's own paths are looked up, any other is read word by word."""

    def __init__(self, plane: DataPlane, metrics: Metrics) -> None:
        self.plane = plane
        self.metrics = metrics
        name, version = plane.name, plane.version
        self._live = Reply(dumps({"live": True}))
        self._fixed: dict[str, Route] = {
            "/": _get(self._index),
            "/openapi.json": _get(lambda: page(self.plane)),
            "/v1/models": _get(lambda: {"models": [name]}),
            "/v2": _get(plane.server_metadata),
            "/v2/health/live": Route("GET", lambda call: self._live),
            "/v2/health/ready": _get(self._ready),
            "/metrics": Route("GET", self._metrics),
            "/stats": _get(plane.stats_page),
            f"/v1/models/{name}:predict": Route("POST", self._predict, "v1"),
        }
        for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            self._fixed[f"{model}/infer"] = Route("POST", self._infer, "v2")

    def route(self, method: str, path: str) -> Route:
        """The route of a path.

        Raises:
            UnknownPath, UnknownModel, UnknownVersion, WrongMethod: and which of them.
        """
        found = self._fixed.get(path) or self._read(unquote(path))
        if method != found.method and not (method == "HEAD" and found.method == "GET"):
            raise WrongMethod(method, found.method)
        return found

    def _read(self, path: str) -> Route:
        if len(path) > 1 and path.endswith("/"):
            path = path.rstrip("/")
        if path in self._fixed:
            return self._fixed[path]
        match path.split("/")[1:]:
            case ["v1", "models", model] if model.endswith(":predict"):
                self.plane.check(model.removesuffix(":predict"))
                return self._fixed[f"/v1/models/{self.plane.name}:predict"]
            case ["v1", "models", model] if ":" not in model:
                self.plane.check(model)
                return _get(self._v1_model)
            case ["v2", "models", model, *rest]:
                version = None
                if len(rest) >= 2 and rest[0] == "versions":
                    version, rest = rest[1], rest[2:]
                self.plane.check(model, version)
                match rest:
                    case []:
                        return _get(self.plane.model_metadata)
                    case ["ready"]:
                        return _get(self._model_ready)
                    case ["infer"]:
                        return self._fixed[f"/v2/models/{self.plane.name}/infer"]
        raise UnknownPath(path)

    def _index(self) -> dict[str, Any]:
        name = self.plane.name
        return {
            "model": name,
            "version": self.plane.version,
            "ready": self.plane.ready,
            "paths": [
                f"/v2/models/{name}",
                f"/v2/models/{name}/infer",
                f"/v1/models/{name}:predict",
                "/openapi.json",
                "/metrics",
            ],
        }

    def _ready(self) -> dict[str, Any]:
        if not self.plane.ready:
            raise NotReady(self.plane.name)
        return {"ready": True}

    def _model_ready(self) -> dict[str, Any]:
        return {"name": self.plane.name, **self._ready()}

    def _v1_model(self) -> dict[str, Any]:
        return {"name": self.plane.name, **self._ready()}

    def _metrics(self, call: Call) -> Reply:
        return Reply(self.metrics.page(), media_type=self.metrics.media_type)

    def _infer(self, call: Call) -> Reply:
        self.plane.loaded()
        head, tail = v2.split(call.body, call.header_length)
        request = v2.read(loads(head), tail)
        prediction = self.plane.infer(request)
        identity = request.id or call.identity
        answer, data = v2.write(prediction, self.plane.name, self.plane.version, identity, request)
        written = self._written(answer)
        if data:
            return Reply(b"".join((written, *data)), media_type=BINARY, header_length=len(written))
        return Reply(written)

    def _predict(self, call: Call) -> Reply:
        signature = self.plane.loaded().signature
        return Reply(self._written(v1.write(self.plane.infer(v1.read(loads(call.body), signature)))))

    def _written(self, answer: dict[str, Any]) -> bytes:
        try:
            return dumps(answer)
        except TypeError as error:  # a whole number beyond 64 bits, an object that is no data
            raise ModelFailed(self.plane.name, error) from error


def _get(answer: Callable[[], dict[str, Any]]) -> Route:
    return Route("GET", lambda call: Reply(dumps(answer())))


def loads(body: bytes) -> Any:
    """JSON, strictly.

    Raises:
        InvalidJSON, InvalidRequest: with what is wrong.
    """
    if not body:
        raise InvalidRequest("the body is empty", hint="send JSON")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidJSON(error) from None


def dumps(answer: Any) -> bytes:
    """Valid JSON: NaN and the infinities are null."""
    return bytes(orjson.dumps(answer, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy's scalars and the arrays that orjson does not write itself
        return value.tolist()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
