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
from millpond.serving.openinference import ModelInferRequest, ModelInferResponse
from millpond.serving.server import grpc_messages, v1, v2
from millpond.serving.server.signature import Signature
from millpond.serving.server.tensors import Tensor

PREDICTION = "prediction"
GRPC = "grpc-v2"
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
    if entry.protocol == GRPC:
        request, _ = grpc_messages.read(entry.request)
    elif entry.protocol == "v1":
        request = v1.read(orjson.loads(entry.request), _UNKNOWN)
    else:
        text, tail = v2.split(entry.request, _length(entry.request_header))
        request = v2.read(orjson.loads(text), tail)
    return _columns(request.inputs, "feature")


def _outputs(entry: Prediction) -> Columns:
    columns = _columns(_answered(entry), PREDICTION)
    return {PREDICTION: next(iter(columns.values()))} if len(columns) == 1 else columns


def _answered(entry: Prediction) -> list[Tensor]:
    """The tensors of an answer: it has the form of a request, so that a request's reader serves."""
    if entry.protocol == GRPC:
        answer = grpc_messages.parsed(ModelInferResponse, entry.response)
        message = ModelInferRequest(raw_input_contents=answer.raw_output_contents)
        for output in answer.outputs:  # the two messages have the same fields
            message.inputs.add().ParseFromString(output.SerializeToString())
        return grpc_messages.read(message.SerializeToString())[0].inputs
    if entry.protocol == "v1":
        found = orjson.loads(entry.response)["predictions"]
        return v1.read({"instances": found if isinstance(found, list) else [found]}, _UNKNOWN).inputs
    text, tail = v2.split(entry.response, _length(entry.response_header))
    return v2.read({"inputs": orjson.loads(text)["outputs"]}, tail).inputs


def _length(header: int | None) -> str | None:
    return None if header is None else str(header)


def _columns(tensors: list[Tensor], matrix: str) -> Columns:
    """Tensors as columns; of a matrix that stands alone, the columns are numbered."""
    found: Columns = {}
    for tensor in tensors:
        values = tensor.data if isinstance(tensor.data, list) else tensor.data.tolist()
        rows = tensor.shape[0] if tensor.shape else 1
        width = len(values) // rows if rows else 0
        if width == 1:
            found[tensor.name] = [_value(value) for value in values]
            continue
        word = matrix if len(tensors) == 1 else tensor.name
        for index in range(min(width, _WIDEST)):
            found[f"{word} {index}"] = [_value(value) for value in values[index::width]]
    return found


def _value(value: Any) -> Any:
    """A value that can be counted: numbers, truth values and strings as they are, NaN is missing."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float):
        return value
    return value.decode(errors="replace")[:200] if isinstance(value, bytes) else str(value)[:200]
