"""What the protocols carry: named tensors in, named tensors out.

A tensor's data is kept as the plain values that were sent; the model's signature decides later
what they become, because that is what a mistyped request can be mended by. Data that came as bytes is
an array of its declared datatype, or a list of bytes where that is BYTES.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.errors import InvalidRequest, InvalidShape


@dataclass(slots=True)
class Tensor:
    """One input: its values in row-major order, flat.

    `place` is a pattern for messages: ``inputs[0] (age), data[{row}]``.
    """

    name: str
    data: Any  # a list, or a flat numpy array
    shape: tuple[int, ...]
    datatype: str | None = None
    content_type: str | None = None
    place: str = "{row}"

    def at(self, row: int) -> str:
        """Where value number `row` of this tensor stands in the request."""
        return self.place.replace("{row}", str(row))


@dataclass(slots=True)
class Request:
    """A request to predict, whichever protocol it came by.

    `content_type` is ``pd``, ``np``, ``str`` or None; `outputs` the names asked for, None for all;
    `parameters` what a model with parameters in its signature may read. `binary` says whether outputs go
    back as bytes, `binary_outputs` the same for single outputs by name. `table` has the rows of a plain
    request, in the place of `inputs`.
    """

    inputs: list[Tensor]
    content_type: str | None = None
    outputs: list[str] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    id: str | None = None
    binary: bool = False
    binary_outputs: dict[str, bool] = field(default_factory=dict)
    table: Any = None


@dataclass(slots=True)
class Output:
    """One output: `data` is a flat numpy array or a flat list that JSON can hold."""

    name: str
    datatype: str
    shape: list[int]
    data: Any
    content_type: str | None = None


@dataclass(slots=True)
class Prediction:
    """What the model answered; `content_type` is ``pd`` when each output is a table's column."""

    outputs: list[Output]
    content_type: str | None = None


def flat_values(name: str, data: Any, shape: tuple[int, ...], datatype: str) -> list[Any]:
    """A tensor's data made flat, when it has as many values as its shape says.

    Raises:
        RequestError: nested data of another shape, or another number of values.
    """
    if datatype not in DTYPES:
        raise unknown_datatype(name, datatype)
    values: list[Any] = data if isinstance(data, list) else [data]
    if any(type(value) is list for value in values):
        flat = _flattened(values, len(shape))
        if len(flat) == prod(shape) and _shape_of(values, len(shape)) != shape:
            raise InvalidShape(f"{name}: the nesting of data does not follow shape {list(shape)}")
        values = flat
    if len(values) != prod(shape):
        raise InvalidShape(f"{name}: shape {list(shape)} holds {prod(shape)} values, data has {len(values)}")
    return values


def unknown_datatype(place: str, datatype: str) -> InvalidRequest:
    """The error for a datatype that the protocol does not have."""
    return InvalidRequest(
        f"{place}: unknown datatype {datatype[:60]!r}", hint=f"known are {', '.join(DTYPES)}"
    )


def _flattened(data: list[Any], depth: int) -> list[Any]:
    """Nested lists as one, down to `depth` levels."""
    while depth > 1 and any(type(value) is list for value in data):
        data = [item for value in data for item in (value if type(value) is list else [value])]
        depth -= 1
    return data


def _shape_of(data: Any, depth: int) -> tuple[int, ...]:
    shape: tuple[int, ...] = ()
    while isinstance(data, list) and len(shape) < depth:
        shape = (*shape, len(data))
        data = data[0] if data else None
    return shape
