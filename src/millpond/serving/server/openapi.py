"""The OpenAPI 3.1 page of one model: its paths, what they take, and every status that they answer with."""

from __future__ import annotations

from typing import Any

from millpond import __version__
from millpond.serving.server import schemas
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.schemas import Schema

_JSON = "application/json"
_BINARY = "application/octet-stream"
_FAILURES = {
    400: "The request is malformed or does not fit the model; the sentence names the place",
    408: "The body did not arrive in time",
    409: "The server is not in a state in which it can do that",
    413: "The body is too large",
    415: "The body is compressed",
    500: "The model failed",
    503: "The model is still loading or hangs, or too many requests wait",
    504: "The model took too long",
}
_PREDICTING = tuple(status for status in _FAILURES if status != 409)
_ID = {
    "name": "x-request-id",
    "in": "header",
    "description": "The request's id, made up when it is missing; it comes back and is what feedback names",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
_HEADER_LENGTH = {
    "name": "Inference-Header-Content-Length",
    "in": "header",
    "description": "Bytes of the JSON, when binary tensor data follow it",
    "schema": {"type": "integer", "minimum": 0},
}
_ANSWERED = {
    "x-request-id": {"required": True, "schema": {"type": "string"}, "description": "The request's id"},
    "x-millpond-revision": {"required": True, "schema": {"type": "string"}, "description": "Who answered"},
}


def page(plane: DataPlane) -> dict[str, Any]:
    """The page; before the model is loaded, or behind a transformer, it knows nothing of bodies."""
    name, extensions = plane.name, plane.extensions
    transformed = extensions is not None and extensions.transforms
    signature = plane.model.signature if plane.model is not None and not transformed else None
    v1 = f"/v1/models/{name}"
    paths: dict[str, Any] = {
        "/": _read("What is here", schemas.ANYTHING),
        "/openapi.json": _read("This page", schemas.ANYTHING),
        "/metrics": _read("Prometheus' metrics", {"type": "string"}, media_type="text/plain"),
        "/stats": _read("How busy the process is", schemas.ANYTHING),
        "/v2": _read("The server and its extensions", schemas.SERVER),
        "/v2/health/live": _read("Whether the process runs", schemas.LIVE, 503),
        "/v2/health/ready": _read("Whether the model answers", schemas.READY, 503),
        "/v2/repository/index": _write(
            "The models", schemas.INDEX_ASKED, schemas.INDEX, required=False, failures=(400, 408, 413, 415)
        ),
        f"/v2/repository/models/{name}/load": _write(
            "Nothing, if the model is loaded",
            schemas.ANYTHING,
            schemas.ANYTHING,
            required=False,
            failures=(400, 408, 413, 415, 503),
        ),
        f"/v2/repository/models/{name}/unload": _write(
            "Refused: a deployment's model leaves with the deployment",
            schemas.ANYTHING,
            None,
            required=False,
            failures=(408, 409, 413, 415),
        ),
        "/v1/models": _read("The models' names", schemas.MODELS),
        v1: _read("Whether the model answers", schemas.MODEL_READY, 503),
        f"{v1}:predict": _write(
            "Predict (V1)",
            schemas.ANYTHING if transformed else schemas.predict(signature),
            schemas.ANYTHING if transformed else schemas.PREDICTIONS,
            example=schemas.predict_example(signature),
            failures=_PREDICTING,
            predicts=True,
        ),
        f"{v1}:feedback": _feedback(),
    }
    model = f"/v2/models/{name}"
    for at in (model, f"{model}/versions/{plane.version}"):
        paths[at] = _read("The model's inputs and outputs", schemas.METADATA, 503)
        paths[f"{at}/ready"] = _read("Whether the model answers", schemas.MODEL_READY, 503)
        paths[f"{at}/infer"] = _infer(transformed, schemas.infer_example(signature))
        paths[f"{at}/feedback"] = _feedback()
        if extensions is not None and extensions.explains:
            paths[f"{at}/explain"] = paths[f"{v1}:explain"] = _write(
                "Why the model predicts what it does",
                schemas.ANYTHING,
                schemas.ANYTHING,
                failures=_PREDICTING,
                predicts=True,
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Model {name}",
            "version": plane.version,
            "description": f"Served by Millpond {__version__} under the V1 and V2 protocols.",
        },
        "paths": paths,
        "components": {
            "schemas": {"Tensor": schemas.TENSOR, "Output": schemas.OUTPUT, "Error": schemas.ERROR}
        },
    }


def _read(summary: str, schema: Schema, *failures: int, media_type: str = _JSON) -> dict[str, Any]:
    answer = {"description": "Yes", "content": {media_type: {"schema": schema}}}
    return {"get": {"summary": summary, "responses": {"200": answer, **_failed(failures)}}}


def _write(
    summary: str,
    asked: Schema,
    answered: Schema | None,
    *,
    example: Any = None,
    required: bool = True,
    failures: tuple[int, ...],
    status: int = 200,
    predicts: bool = False,
) -> dict[str, Any]:
    """An operation that reads a body; `answered` is None where it is always refused."""
    content: dict[str, Any] = {"schema": asked}
    if example is not None:
        content["example"] = example
    found: dict[str, Any] = {
        "summary": summary,
        "parameters": [_ID],
        "requestBody": {"required": required, "content": {_JSON: content}},
        "responses": _failed(failures, predicts),
    }
    if answered is not None:
        answer: dict[str, Any] = {"description": "Done", "content": {_JSON: {"schema": answered}}}
        if predicts:
            answer["headers"] = _ANSWERED
        found["responses"][str(status)] = answer
    return {"post": found}


def _infer(transformed: bool, example: Any) -> dict[str, Any]:
    found = _write(
        "Predict (V2)",
        schemas.ANYTHING if transformed else schemas.INFER,
        schemas.ANYTHING if transformed else _inferred(),
        example=example,
        failures=_PREDICTING,
        predicts=True,
    )
    post = found["post"]
    post["parameters"] = [_ID, _HEADER_LENGTH]
    post["requestBody"]["content"][_BINARY] = {"schema": {"type": "string", "format": "binary"}}
    post["responses"]["200"]["content"][_BINARY] = {"schema": {"type": "string", "format": "binary"}}
    return found


def _inferred() -> Schema:
    outputs = {"type": "array", "items": {"$ref": "#/components/schemas/Output"}}
    return {
        "type": "object",
        "required": ["model_name", "model_version", "id", "outputs"],
        "properties": {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "parameters": {"type": "object", "properties": {"content_type": {"type": "string"}}},
            "outputs": outputs,
        },
    }


def _feedback() -> dict[str, Any]:
    return _write(
        "What became of a prediction",
        schemas.FEEDBACK,
        schemas.FEEDBACK_KEPT,
        failures=(400, 408, 409, 413, 415),
        status=202,
    )


def _failed(statuses: tuple[int, ...], predicts: bool = False) -> dict[str, Any]:
    content = {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}
    found: dict[str, Any] = {}
    for status in statuses:
        found[str(status)] = {"description": _FAILURES[status], "content": content}
        if predicts:
            found[str(status)]["headers"] = _ANSWERED
    return found
