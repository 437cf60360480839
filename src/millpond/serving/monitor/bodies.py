"""What requests and answers say: a list of values for each feature and each output, one value per row.

V1 and V2, JSON, binary tensors and gRPC give the same names where they can: a column by its name, the
columns of a matrix ``feature 0``, ``feature 1`` and so on, the only output of a model ``prediction``.
Nothing here raises: a body that cannot be read, such as one that was refused, has no columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from millpond.model.errors import MillpondError
from millpond.serving.monitor.record import Feedback, Prediction
from millpond.serving.server import v1, v2
from millpond.serving.server.signature import Signature
from millpond.serving.server.tensors import Tensor

PREDICTION = "prediction"
_WIDEST = 200  # columns of a matrix that are told apart; an image's pixels are no features
_UNKNOWN = Signature(None, None)
Columns = dict[str, list[Any]]


@dataclass(slots=True)
class Content:
    """The columns of one prediction; all of a side have the same length."""

    features: Columns = field(default_factory=dict)
    outputs: Columns = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a feedback says; the truth is any JSON."""

    reward: float | None
    truth: Any


def content(entry: Prediction) -> Content:
    """What a prediction's bodies say, read once."""
    if entry.read is None:
        answered = entry.answered and entry.response
        entry.read = Content(
            _attempt(_features, entry) if entry.request else {},
            _attempt(_outputs, entry) if answered else {},
        )
    found: Content = entry.read
    return found


def outcome(entry: Feedback) -> Outcome:
    """What a feedback's body says."""
    try:
        found = orjson.loads(entry.body)
    except orjson.JSONDecodeError:
        return Outcome(None, None)
    if not isinstance(found, dict):
        return Outcome(None, None)
    reward = found.get("reward")
    if not isinstance(reward, bool | int | float) or not math.isfinite(reward):
        reward = None
    return Outcome(None if reward is None else float(reward), found.get("truth"))


def _attempt(read: Callable[[Prediction], Columns], entry: Prediction) -> Columns:
    try:
        columns = read(entry)
    except (MillpondError, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return {}
    return columns if len({len(values) for values in columns.values()}) <= 1 else {}


def _features(entry: Prediction) -> Columns:
    body = orjson.loads(entry.request)
    request = v1.read(body, _UNKNOWN) if entry.protocol == "v1" else v2.read(body)
    return _columns(request.inputs, "feature")


def _outputs(entry: Prediction) -> Columns:
    body = orjson.loads(entry.response)
    if entry.protocol == "v1":
        found = body["predictions"]
        rows = found if isinstance(found, list) else [found]
        tensors = v1.read({"instances": rows}, _UNKNOWN).inputs
    else:
        tensors = v2.read({"inputs": body["outputs"]}).inputs
    columns = _columns(tensors, PREDICTION)
    return {PREDICTION: next(iter(columns.values()))} if len(columns) == 1 else columns


def _columns(tensors: list[Tensor], matrix: str) -> Columns:
    """Tensors as columns; of a matrix that stands alone, the columns are numbered."""
    found: Columns = {}
    for tensor in tensors:
        rows = tensor.shape[0] if tensor.shape else 1
        width = len(tensor.data) // rows if rows else 0
        if width == 1:
            found[tensor.name] = [_value(value) for value in tensor.data]
            continue
        word = matrix if len(tensors) == 1 else tensor.name
        for index in range(min(width, _WIDEST)):
            found[f"{word} {index}"] = [_value(value) for value in tensor.data[index::width]]
    return found


def _value(value: Any) -> Any:
    """A value that can be counted: numbers, truth values and strings as they are, NaN is missing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:200]
