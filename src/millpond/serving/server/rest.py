"""Paths bound to the data plane: V1 and V2 REST, metrics, and the OpenAPI page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import orjson

from millpond.serving.server import feedback, v1, v2
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import (
    InvalidJSON,
    InvalidRequest,
    ModelFailed,
    NotReady,
    UnknownPath,
    WrongMethod,
)
from millpond.serving.server.exchange import Call, Reply, Skin
from millpond.serving.server.metrics import Metrics
from millpond.serving.server.openapi import page
from millpond.serving.server.repository import Repository, only_ready
from millpond.serving.server.tensors import Prediction, Request

BINARY = "application/octet-stream"
_FEEDBACK = 1024 * 1024
_REPOSITORY = 64 * 1024

Run = Callable[[Call], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What answers a path: a `Skin` where that is a prediction, else a function.

    The function gets the body if that may have any bytes: `reads` of them at most.
    """

    method: str
    act: Run | Skin
    reads: int = 0


class Rest:
    """The table of paths. The served model's own paths are looked up, any other is read word by word."""

    def __init__(self, plane: DataPlane, metrics: Metrics) -> None:
        self.plane = plane
        self.metrics = metrics
        self.repository = Repository(plane)
        name, version = plane.name, plane.version
        self._live = Reply(dumps({"live": True}))
        self._fixed: dict[str, Route] = {
            "/": _get(self._index),
            "/openapi.json": _get(lambda: page(self.plane)),
            "/v1/models": _get(lambda: {"models": [name]}),
            "/v2": _get(plane.server_metadata),
            "/v2/health/live": Route("GET", self._is_live),
            "/v2/health/ready": _get(self._ready),
            "/metrics": Route("GET", self._metrics),
            "/stats": _get(plane.stats_page),
        }
        first, second = self._skins()
        explained = Route("POST", replace(second, explains=True))
        infer = Route("POST", second)
        keep = Route("POST", self._keep, _FEEDBACK)
        self._fixed[f"/v1/models/{name}:predict"] = Route("POST", first)
        self._fixed[f"/v1/models/{name}:explain"] = Route("POST", replace(first, explains=True))
        for model in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{version}"):
            self._fixed[f"{model}/infer"] = infer
            self._fixed[f"{model}/explain"] = explained
            self._fixed[f"{model}/feedback"] = keep
        self._fixed[f"/v1/models/{name}:feedback"] = keep
        self._fixed["/v2/repository/index"] = Route("POST", self._repository_index, _REPOSITORY)

    def _skins(self) -> tuple[Skin, Skin]:
        return (
            Skin("v1", self._read_v1, self._write_v1, refuse),
            Skin("v2", self._read_v2, self._write_v2, refuse),
        )

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
            case ["v1", "models", model] if model.endswith((":predict", ":explain", ":feedback")):
                name, _, verb = model.rpartition(":")
                self.plane.check(name)
                return self._fixed[f"/v1/models/{self.plane.name}:{verb}"]
            case ["v2", "repository", "models", model, "load"]:
                return Route("POST", lambda call: self._repository_load(model, call), _REPOSITORY)
            case ["v2", "repository", "models", model, "unload"]:
                return Route("POST", lambda call: self._repository_unload(model), _REPOSITORY)
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
                    case ["infer" | "explain" | "feedback"]:
                        return self._fixed[f"/v2/models/{self.plane.name}/{rest[0]}"]
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

    def _is_live(self, call: Call) -> Reply:
        self.plane.check_life()
        return self._live

    def _keep(self, call: Call) -> Reply:
        return Reply(dumps({"id": feedback.keep(self.plane, loads(call.body), call.body)}), 202)

    def _repository_index(self, call: Call) -> Reply:
        return Reply(dumps(self.repository.index(only_ready(loads(call.body or b"{}")))))

    def _repository_load(self, name: str, call: Call) -> Reply:
        body = loads(call.body or b"{}")
        self.repository.load(name, parameters=not isinstance(body, dict) or bool(body.get("parameters")))
        return Reply(b"{}")

    def _repository_unload(self, name: str) -> Reply:
        self.repository.unload(name)
        return Reply(b"{}")

    def _read_v2(self, call: Call) -> Request:
        if call.header_length is None:
            body = loads(call.body)
            plain = self.plane.loaded().plain.v2(body)
            return v2.read(body) if plain is None else plain
        head, tail = v2.split(call.body, call.header_length)
        return v2.read(loads(head), tail)

    def _write_v2(self, prediction: Prediction, request: Request, call: Call) -> Reply:
        name, version = self.plane.name, self.plane.version
        answer, data = v2.write(prediction, name, version, request.id or call.identity, request)
        written = self._written(answer)
        if data:
            return Reply(b"".join((written, *data)), media_type=BINARY, header_length=len(written))
        return Reply(written)

    def _read_v1(self, call: Call) -> Request:
        body, model = loads(call.body), self.plane.loaded()
        plain = model.plain.v1(body)
        return v1.read(body, model.signature) if plain is None else plain

    def _write_v1(self, prediction: Prediction, request: Request, call: Call) -> Reply:
        return Reply(self._written(v1.write(prediction)))

    def _written(self, answer: dict[str, Any]) -> bytes:
        try:
            return dumps(answer)
        except TypeError as error:  # a whole number beyond 64 bits, an object that is no data
            raise ModelFailed(self.plane.name, error) from error


def _get(answer: Callable[[], dict[str, Any]]) -> Route:
    return Route("GET", lambda call: Reply(dumps(answer())))


def refuse(status: int, sentence: str) -> Reply:
    """The protocols' error object."""
    return Reply(dumps({"error": sentence}), status)


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
