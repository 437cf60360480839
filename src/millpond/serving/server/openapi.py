"""The OpenAPI 3.1 page of one model: its paths, and its own columns as the example of a request."""

from __future__ import annotations

from typing import Any

from millpond import __version__
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.signature import Field

_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string", "enum": list(DTYPES)},
        "data": {"type": "array", "items": {}},
        "parameters": {"type": "object"},
    },
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
}


def page(plane: DataPlane) -> dict[str, Any]:
    """The page; before the model is loaded its examples are missing."""
    name = plane.name
    fields = plane.model.signature.inputs if plane.model is not None else []
    model = f"/v2/models/{name}"
    paths: dict[str, Any] = {
        "/v2": _read("The server"),
        "/v2/health/live": _read("Whether the process runs"),
        "/v2/health/ready": _read("Whether the model answers"),
        "/v1/models": _read("The models' names"),
        f"/v1/models/{name}": _read("Whether the model answers (V1)"),
        f"/v1/models/{name}:predict": {"post": _post("Predict (V1)", _v1_schema(), _v1_example(fields))},
        "/metrics": _read("Prometheus metrics", "text/plain"),
    }
    for at in (model, f"{model}/versions/{plane.version}"):
        paths[at] = _read("The model's inputs and outputs")
        paths[f"{at}/ready"] = _read("Whether the model answers")
        paths[f"{at}/infer"] = {"post": _post("Predict", _v2_schema(), _v2_example(fields))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Model {name}",
            "version": plane.version,
            "description": f"Served by Millpond {__version__} under the V1 and V2 protocols.",
        },
        "paths": paths,
        "components": {"schemas": {"Tensor": _TENSOR, "Error": _ERROR}},
    }


def _read(summary: str, media_type: str = "application/json") -> dict[str, Any]:
    content = {media_type: {"schema": {"type": "object" if media_type.endswith("json") else "string"}}}
    return {
        "get": {
            "summary": summary,
            "responses": {
                "200": {"description": "Yes", "content": content},
                "503": _failure("The model is still loading"),
            },
        }
    }


def _post(summary: str, schema: dict[str, Any], example: dict[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "200": {
                "description": "The prediction",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "400": _failure("The request does not fit the model"),
            "408": _failure("The body took too long"),
            "413": _failure("The body is too large"),
            "415": _failure("The body is not plain JSON"),
            "500": _failure("The model failed"),
            "503": _failure("The model is still loading, or too many requests wait"),
        },
    }


def _failure(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _v2_schema() -> dict[str, Any]:
    tensors = {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tensor"}}
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {"id": {"type": "string"}, "inputs": tensors, "parameters": {"type": "object"}},
    }


def _v1_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"instances": {"type": "array"}, "inputs": {"type": ["object", "array"]}},
    }


def _v2_example(fields: list[Field]) -> dict[str, Any] | None:
    if not fields:
        return None
    inputs = []
    for field in fields:
        shape = [max(length, 1) for length in field.shape]
        inputs.append(
            {"name": field.name, "shape": shape, "datatype": field.datatype, "data": [_value(field)]}
        )
    return {"inputs": inputs} if all(length in (-1, 1) for f in fields for length in f.shape) else None


def _v1_example(fields: list[Field]) -> dict[str, Any] | None:
    if not fields or any(length not in (-1, 1) for field in fields for length in field.shape):
        return None
    return {"instances": [{field.name: _value(field) for field in fields}]}


def _value(field: Field) -> Any:
    if field.content_type == "datetime":
        return "2026-01-31T12:00:00"
    if field.datatype == "BYTES":
        return ""
    if field.datatype == "BOOL":
        return True
    return 1.0 if field.datatype.startswith("FP") else 1
