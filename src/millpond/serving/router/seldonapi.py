"""Seldon Core's prediction calls, answered by V1: ``{"data": {"ndarray": [[...]]}}`` to ``.../predictions``.

This is what clients of a SeldonDeployment send (OpenMLOps' tutorial does), at
``/seldon/NAMESPACE/NAME/api/v1.0/predictions`` or at the deployment's own host; as there, the version in the
path says nothing. ``ndarray`` and ``tensor`` are read, with or without ``names``, and the answer has the kind
of the request. ``binData``, ``strData``, ``jsonData`` and ``/api/.../feedback`` have no counterpart.
Source: https://docs.seldon.io/projects/seldon-core/en/latest/reference/apis/external-prediction.html
"""

from __future__ import annotations

import math
import re
from typing import Any

import orjson

from millpond.serving.router.activator import Refused
from millpond.serving.router.forwarding import Incoming
from millpond.serving.router.message import JSON, Message

_PATH = re.compile(r"(?:/seldon/[^/]+/([a-z0-9][-a-z0-9]{0,62}))?/api/v\d+(?:\.\d+)?/predictions/?\Z")


def called(path: str) -> tuple[str | None] | None:
    """The deployment that a prediction call's path names, if any, in a tuple; None for every other path.

    >>> called("/seldon/default/wines/api/v1.0/predictions"), called("/api/v0.1/predictions"), called("/v2")
    (('wines',), (None,), None)
    """
    found = _PATH.match(path)
    return None if found is None else (found[1],)


def instances(body: bytes) -> tuple[bytes, str]:
    """The V1 request that a prediction call says, and its kind of data.

    Raises:
        Refused: 400, it is not JSON, or has no rows that V1 can say.
    """
    try:
        data = orjson.loads(body)["data"]
        names = data.get("names") or []
        kind = "tensor" if "tensor" in data else "ndarray"
        rows = _rows(data["tensor"]) if kind == "tensor" else data["ndarray"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Refused(400, 'the body is not {"data": {"ndarray": [...]}}') from None
    if not isinstance(rows, list) or not isinstance(names, list):
        raise Refused(400, "data.ndarray and data.names are lists")
    if names:
        if any(not isinstance(row, list) or len(row) != len(names) for row in rows):
            raise Refused(400, f"each row of data has {len(names)} values, as there are names")
        rows = [dict(zip(map(str, names), row, strict=True)) for row in rows]
    return orjson.dumps({"instances": rows}), kind


def request(name: str, body: bytes, headers: list[tuple[str, str]], gateway: str | None) -> Incoming:
    """The V1 call of a deployment; through the gateway where there is one, to share in its traffic."""
    kept = [item for item in headers if item[0] not in ("content-type", "content-length")]
    return Incoming(
        method="POST",
        path=f"/v1/models/{name}:predict",
        query="",
        host=f"{name}.localhost",
        body=body,
        headers=[*kept, ("content-type", JSON)],
        through=[gateway] if gateway else [],
    )


def answered(found: Message, kind: str, identity: str) -> Message:
    """V1's answer in Seldon's words, with the request's id as ``puid``; what is none stays as it is."""
    try:
        predictions = found.json()["predictions"]
    except (ValueError, KeyError, TypeError):
        return found
    if not found.successful or not isinstance(predictions, list):
        return found
    names: list[str] = []
    if predictions and all(isinstance(row, dict) for row in predictions):
        names = list(predictions[0])
        predictions = [[row.get(name) for name in names] for row in predictions]
    data: dict[str, Any] = {"names": names, "ndarray": predictions}
    if kind == "tensor":
        values, shape = _flat(predictions)
        data = {"names": names, "tensor": {"shape": shape, "values": values}}
    return Message(orjson.dumps({"data": data, "meta": {"puid": identity}}), found.status)


def _rows(tensor: dict[str, Any]) -> list[Any]:
    values, shape = tensor["values"], tensor["shape"]
    if math.prod(shape) != len(values) or any(size < 1 for size in shape):
        raise ValueError("the shape is not that of the values")
    for size in reversed(shape[1:]):
        values = [values[index : index + size] for index in range(0, len(values), size)]
    return list(values)


def _flat(values: list[Any]) -> tuple[list[Any], list[int]]:
    shape = [len(values)]
    while values and all(isinstance(value, list) and len(value) == len(values[0]) for value in values):
        shape.append(len(values[0]))
        values = [item for value in values for item in value]
    return values, shape
