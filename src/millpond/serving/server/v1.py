"""The V1 protocol (TensorFlow Serving's REST words): rows in ``instances``, or columns in ``inputs``.

``instances`` is a list of rows: objects by column, lists in the signature's order, or plain values.
``inputs`` is an object of columns, or one tensor. The answer is ``predictions``, a value per row,
or an object per row when the model gives a table.
Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol
"""

from __future__ import annotations

from typing import Any

from millpond.serving.server.errors import EmptyBatch, InvalidRequest, InvalidShape
from millpond.serving.server.results import rows_of
from millpond.serving.server.signature import Signature
from millpond.serving.server.tensors import Prediction, Request, Tensor


def read(body: Any, signature: Signature) -> Request:
    """The request that a body says; rows become columns, in the signature's order.

    Raises:
        RequestError: with the row and column of what is wrong.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be an object with instances or inputs")
    name = body.get("signature_name")
    if name not in (None, "", "serving_default"):
        raise InvalidRequest(f"signature {str(name)[:60]} does not exist", hint="leave signature_name out")
    if "instances" in body and "inputs" in body:
        raise InvalidRequest("the body has both instances and inputs", hint="send one of them")
    if "instances" in body:
        return _rows(body["instances"], signature)
    if "inputs" in body:
        return _columns(body["inputs"], signature)
    raise InvalidRequest("instances is missing", hint='send {"instances": [...]} or {"inputs": {...}}')


def write(prediction: Prediction) -> dict[str, Any]:
    """The answer to a request."""
    return {"predictions": rows_of(prediction)}


def _rows(rows: Any, signature: Signature) -> Request:
    if not isinstance(rows, list):
        raise InvalidRequest("instances must be a list of rows")
    if not rows:
        raise EmptyBatch
    if isinstance(rows[0], dict):
        return Request(_by_name(rows), content_type="pd")
    if any(isinstance(row, dict) for row in rows):
        raise InvalidRequest("instances mixes objects with other rows")
    return Request([_matrix("instances", rows, signature)])


def _by_name(rows: list[Any]) -> list[Tensor]:
    names = list(rows[0])
    known = set(names)
    if not names:
        raise InvalidRequest("instances[0] has no columns")
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            raise InvalidRequest(f"instances[{index}] must be an object like instances[0]")
        if row.keys() != known:
            odd = sorted(known.symmetric_difference(row))[0]
            said = "has no" if odd in known else "has a"
            raise InvalidRequest(f"instances[{index}] {said} {odd}, unlike instances[0]")
    return [
        Tensor(name, [row[name] for row in rows], (len(rows),), place=f"instances[{{row}}].{name}")
        for name in names
    ]


def _columns(inputs: Any, signature: Signature) -> Request:
    if not isinstance(inputs, dict):
        if isinstance(inputs, list) and not inputs:
            raise EmptyBatch
        return Request([_matrix("inputs", inputs if isinstance(inputs, list) else [inputs], signature)])
    if not inputs:
        raise EmptyBatch
    tensors = []
    for name, values in inputs.items():
        values = values if isinstance(values, list) else [values]
        scalar = not signature.known or not signature.tensors
        data, shape = (values, (len(values),)) if scalar else _flat(f"inputs.{name}", values)
        tensors.append(Tensor(name, data, shape, place=f"inputs.{name}[{{row}}]"))
    return Request(tensors, content_type="pd" if not signature.tensors else None)


def _matrix(name: str, rows: list[Any], signature: Signature) -> Tensor:
    data, shape = _flat(name, rows)
    if signature.known and not signature.tensors and len(shape) == 1:
        width = len(signature.inputs)
        if width > 1:
            raise InvalidShape(f"{name} holds plain values, the model takes rows of {width} columns")
        shape = (*shape, 1)
    if signature.known and not signature.tensors and len(signature.inputs) == 1 and shape[1:] == (1,):
        only = signature.inputs[0].name
        return Tensor(only, data, shape, place=f"{name}[{{row}}] ({only})")
    return Tensor(name, data, shape, place=f"{name}, value {{row}}")


def _flat(name: str, values: list[Any]) -> tuple[list[Any], tuple[int, ...]]:
    shape: tuple[int, ...] = (len(values),)
    while values and isinstance(values[0], list):
        if len(shape) >= 32:
            raise InvalidShape(f"{name} is nested too deep")
        width = len(values[0])
        for index, value in enumerate(values):
            if not isinstance(value, list) or len(value) != width:
                where = f"{name}[{index}]" if len(shape) == 1 else f"a row of {name}"
                raise InvalidShape(f"{where} is not a list of {width} values, as the first one is")
        values = [item for value in values for item in value]
        shape = (*shape, width)
    return values, shape
