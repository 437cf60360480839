"""What requests and answers look like, as JSON Schemas, with the served model's own columns in them.

They say what is ever taken, which is more than a client should send: a number may be a string, a column may
come in any order. What no schema can say (that shape and data agree) is a 400.
"""

from __future__ import annotations

from math import prod
from typing import Any

from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.signature import Field, Signature
from millpond.serving.server.v2 import CONTENT_TYPES

Schema = dict[str, Any]
_EXAMPLE_VALUES = 256
_CONTENT_TYPE: Schema = {"type": ["string", "null"], "enum": [*CONTENT_TYPES, None]}
_PARAMETERS: Schema = {"type": "object", "properties": {"content_type": _CONTENT_TYPE}}
_SHAPE: Schema = {
    "type": "array",
    "maxItems": 32,
    "items": {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**31},
}
_SIZE: Schema = {"type": "integer", "minimum": 0, "description": "bytes of its data behind the JSON"}
_FLAG: Schema = {"type": ["boolean", "null"]}
_READY: Schema = {"type": "boolean", "const": True}

ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string", "minLength": 1}},
    "additionalProperties": False,
}
TENSOR: Schema = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": _SHAPE,
        "datatype": {"type": "string", "enum": list(DTYPES)},
        "data": {"description": "row-major, flat or nested as the shape is; or binary_data_size"},
        "parameters": {
            "type": ["object", "null"],
            "properties": {"content_type": _CONTENT_TYPE, "binary_data_size": _SIZE},
        },
    },
}
OUTPUT: Schema = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string", "enum": list(DTYPES)},
        "data": {"type": "array"},
        "parameters": {
            "type": "object",
            "properties": {"content_type": {"type": "string"}, "binary_data_size": _SIZE},
        },
    },
}
INFER: Schema = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "inputs": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Tensor"}},
        "outputs": {
            "type": ["array", "null"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {"type": ["object", "null"], "properties": {"binary_data": _FLAG}},
                },
            },
        },
        "parameters": {
            "type": ["object", "null"],
            "properties": {"content_type": _CONTENT_TYPE, "binary_data_output": _FLAG},
        },
    },
}
PREDICTIONS: Schema = {
    "type": "object",
    "required": ["predictions"],
    "properties": {"predictions": {"type": "array"}},
    "additionalProperties": False,
}
_FIELDS: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": list(DTYPES)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": -1}},
            "parameters": _PARAMETERS,
        },
    },
}
METADATA: Schema = {
    "type": "object",
    "required": ["name", "versions", "platform", "inputs", "outputs"],
    "properties": {
        "name": {"type": "string"},
        "versions": {"type": "array", "items": {"type": "string"}},
        "platform": {"type": "string"},
        "inputs": _FIELDS,
        "outputs": _FIELDS,
        "parameters": _PARAMETERS,
    },
}
SERVER: Schema = {
    "type": "object",
    "required": ["name", "version", "extensions"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "extensions": {"type": "array", "items": {"type": "string"}},
    },
}
LIVE: Schema = {"type": "object", "required": ["live"], "properties": {"live": _READY}}
READY: Schema = {"type": "object", "required": ["ready"], "properties": {"ready": _READY}}
MODEL_READY: Schema = {
    "type": "object",
    "required": ["name", "ready"],
    "properties": {"name": {"type": "string"}, "ready": _READY},
}
MODELS: Schema = {
    "type": "object",
    "required": ["models"],
    "properties": {"models": {"type": "array", "items": {"type": "string"}}},
}
FEEDBACK: Schema = {
    "type": "object",
    "required": ["id"],
    "properties": {
        "id": {"type": "string", "pattern": "^[ -~]{1,128}$", "description": "the prediction's x-request-id"},
        "reward": {"type": ["number", "boolean"]},
        "truth": {"description": "what the prediction should have been, in any form"},
    },
    "anyOf": [{"required": ["reward"]}, {"required": ["truth"]}],
    "additionalProperties": False,
}
FEEDBACK_KEPT: Schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
INDEX_ASKED: Schema = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
INDEX: Schema = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["name", "version", "state", "reason"],
        "properties": {
            "name": {"type": "string"},
            "version": {"type": "string"},
            "state": {"enum": ["READY", "LOADING"]},
            "reason": {"type": "string"},
        },
    },
}
ANYTHING: Schema = {"type": "object"}

_FLOAT = ["number", "string", "null"]
_VALUES: dict[str, list[str]] = {
    "BOOL": ["boolean", "integer", "string"],
    "BYTES": ["string", "null"],
    "FP16": _FLOAT,
    "FP32": _FLOAT,
    "FP64": _FLOAT,
}


def predict(signature: Signature | None) -> Schema:
    """The body of a V1 prediction."""
    rows: Schema = {"type": "array", "minItems": 1}
    columns: Schema = {"type": ["object", "array"]}
    if signature is not None and signature.known and not signature.tensors:
        fields = signature.inputs
        row = {
            "type": "object",
            "required": [field.name for field in fields if field.required],
            "properties": {field.name: _value_schema(field) for field in fields},
            "additionalProperties": False,
        }
        ordered = {"type": "array", "minItems": len(fields), "maxItems": len(fields)}
        rows["items"] = {"anyOf": [row, ordered, *([{}] if len(fields) == 1 else [])]}
    return {
        "type": "object",
        "properties": {
            "instances": rows,
            "inputs": columns,
            "signature_name": {"enum": ["serving_default", "", None]},
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    }


def _value_schema(field: Field) -> Schema:
    if field.content_type == "pd_json":
        return {}
    return {"type": _VALUES.get(field.datatype, ["integer", "number", "string"])}


def infer_example(signature: Signature | None) -> Any:
    """A V2 request that the model takes, or None when nobody can tell or it would be too long."""
    fields = _shown(signature)
    inputs = []
    for field in fields:
        shape = [max(length, 1) for length in field.shape]
        data = [_value(field)] * prod(shape)
        inputs.append({"name": field.name, "shape": shape, "datatype": field.datatype, "data": data})
    return {"inputs": inputs} if inputs else None


def predict_example(signature: Signature | None) -> Any:
    """The same under V1."""
    fields = _shown(signature)
    if signature is None or not fields:
        return None
    if not signature.tensors:
        return {"instances": [{field.name: _value(field) for field in fields}]}
    if len(fields) == 1:
        return {"instances": _nested(fields[0])}
    return {"inputs": {field.name: _nested(field) for field in fields}}


def _shown(signature: Signature | None) -> list[Field]:
    """The fields of an example: without optional ones whose values the server does not know the form of."""
    if signature is None or not signature.known:
        return []
    fields = [field for field in signature.inputs if field.required or field.content_type != "pd_json"]
    known = all(field.content_type != "pd_json" for field in fields)
    small = all(prod(max(length, 1) for length in field.shape) <= _EXAMPLE_VALUES for field in fields)
    return fields if known and small else []


def _nested(field: Field) -> Any:
    found: Any = _value(field)
    for length in reversed(field.shape):
        found = [found] * max(length, 1)
    return found


def _value(field: Field) -> Any:
    if field.content_type == "datetime":
        return "2026-01-31T12:00:00"
    if field.datatype == "BYTES":
        return ""
    if field.datatype == "BOOL":
        return True
    return 1.0 if field.datatype.startswith("FP") else 1
