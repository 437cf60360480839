"""A model's signature: what it takes, checked and arranged into the input that it wants.

Three kinds of model are told apart. One with columns gets a pandas DataFrame; one with tensors
gets an array, or a dict of arrays by name; one without a signature gets what the request's content
type says (``pd`` a DataFrame, ``np`` an array, ``str`` a list of strings), a DataFrame when it says
nothing and has several inputs, an array when it has one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas

from millpond.serving.server import columns
from millpond.serving.server.columns import CONVERTERS, Converter
from millpond.serving.server.datatypes import datatype_of
from millpond.serving.server.errors import (
    EmptyBatch,
    InvalidRequest,
    InvalidShape,
    MissingColumns,
    UnknownColumn,
)
from millpond.serving.server.table import Table
from millpond.serving.server.tensors import Request, Tensor

# MLflow's column types: the protocol's datatype, MLServer's content type, the conversion.
_COLUMN_TYPES: dict[str, tuple[str, str, Converter]] = {
    "boolean": ("BOOL", "np", CONVERTERS["BOOL"]),
    "integer": ("INT32", "np", CONVERTERS["INT32"]),
    "long": ("INT64", "np", CONVERTERS["INT64"]),
    "float": ("FP32", "np", CONVERTERS["FP32"]),
    "double": ("FP64", "np", CONVERTERS["FP64"]),
    "string": ("BYTES", "str", (columns.strings, "object")),
    "binary": ("BYTES", "base64", (columns.binaries, "object")),
    "datetime": ("BYTES", "datetime", (columns.datetimes, "datetime64[ns]")),
}
_NUMBERS = {"bool", "int32", "int64", "float32", "float64"}
_ANYTHING: tuple[str, str, Converter] = ("BYTES", "pd_json", (columns.objects, "object"))


@dataclass(frozen=True, slots=True)
class Field:
    """One column or tensor of a signature; `shape` has -1 where any length goes."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content_type: str
    converter: Converter
    required: bool = True

    def metadata(self) -> dict[str, Any]:
        """The field as the protocol's metadata lists it."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "parameters": {"content_type": self.content_type},
        }


class Signature:
    """What the model takes and gives, read once from an MLflow signature.

    `exact` says that a conversion made here leaves nothing for MLflow's own enforcement to do, so
    that the model can be called without it.
    """

    def __init__(self, inputs: Any, outputs: Any, parameters: Any = None) -> None:
        self.inputs = _fields(inputs, "input-")
        self.outputs = [_as_answered(field, index) for index, field in enumerate(_fields(outputs, "output-"))]
        self.known = inputs is not None and bool(self.inputs)
        self.tensors = self.known and inputs.is_tensor_spec()
        self.named = self.known and inputs.has_input_names()
        self.output_names = outputs.input_names() if outputs is not None and outputs.has_input_names() else []
        self.has_parameters = parameters is not None
        self.exact = (
            not self.has_parameters
            and all(field.converter != _ANYTHING[2] for field in self.inputs)
            and (self.tensors or self.named or not self.known)
        )
        self._by_name = {field.name: field for field in self.inputs}
        # Numbers of one type go into one block: such a table is made, and read by a model, in half the time.
        self.index = pandas.Index(list(self._by_name))
        types = {field.converter[1] for field in self.inputs}
        self.alike = next(iter(types)) if len(types) == 1 and types <= _NUMBERS else None

    def arrange(self, request: Request) -> Any:
        """The model's input made of the request, a DataFrame for columns; see `table`.

        Raises:
            RequestError: with the name and place of what does not fit.
        """
        data = self.table(request)
        return data.frame() if isinstance(data, Table) else data

    def table(self, request: Request) -> Any:
        """The same with columns as a `Table`, which is cheaper than a DataFrame and can be joined.

        Raises:
            RequestError: with the name and place of what does not fit.
        """
        if request.table is not None:
            return request.table
        if not request.inputs:
            raise EmptyBatch
        for tensor in request.inputs:
            if len(tensor.data) == 0:
                raise EmptyBatch
        if not self.known:
            return _by_content_type(request)
        if self.tensors:
            return self._arrange_tensors(request.inputs)
        return self._arrange_columns(request.inputs)

    def _arrange_columns(self, inputs: list[Tensor]) -> Any:
        if len(inputs) == 1 and inputs[0].name not in self._by_name:
            inputs = self._split(inputs[0])
        given = _named(inputs)
        for name in given:
            if name not in self._by_name:
                raise UnknownColumn(name, self._by_name)
        missing = [field.name for field in self.inputs if field.required and field.name not in given]
        if missing:
            raise MissingColumns(missing, given)
        rows = _rows(inputs)
        table: dict[str, Any] = {}
        for field in self.inputs:
            tensor = given.get(field.name)
            if tensor is None:
                continue
            if field.converter != _ANYTHING[2] and len(tensor.data) != rows:
                raise InvalidShape(
                    f"column {field.name} holds one value per row: its shape must be [{rows}] or "
                    f"[{rows}, 1], not {list(tensor.shape)}"
                )
            convert, dtype = field.converter
            if len(tensor.data) == rows:
                table[field.name] = convert(tensor, dtype)
            else:  # an array per row: what is left of the shape is inside of it, of the declared datatype
                table[field.name] = columns.natural(tensor).reshape(tensor.shape).tolist()
        if self.alike is not None and len(table) == len(self.inputs):
            matrix = np.empty((rows, len(table)), dtype=self.alike)
            for index, values in enumerate(table.values()):
                matrix[:, index] = values
            return Table(None, rows, self.index, matrix)
        return Table(table, rows)

    def _split(self, tensor: Tensor) -> list[Tensor]:
        """The columns of one matrix, in the signature's order; MLServer's numpy codec for tables."""
        fields = self.inputs
        if len(tensor.shape) != 2 or tensor.shape[1] != len(fields):
            if len(tensor.shape) == 2 and tensor.shape[1] > 1:
                raise InvalidShape(
                    f"{tensor.name} has {tensor.shape[1]} columns, the model takes {len(fields)}: "
                    f"{', '.join(self._by_name)}"
                )
            raise UnknownColumn(tensor.name, self._by_name)
        rows, width = tensor.shape
        return [
            Tensor(
                field.name, tensor.data[index::width], (rows,), place=f"{tensor.name}[{{row}}] ({field.name})"
            )
            for index, field in enumerate(fields)
        ]

    def _arrange_tensors(self, inputs: list[Tensor]) -> Any:
        if len(self.inputs) == 1:
            if len(inputs) > 1:
                known = [field.name for field in self.inputs]
                raise UnknownColumn(next(i.name for i in inputs if i.name not in known), known)
            array = _shaped(inputs[0], self.inputs[0])
            return {self.inputs[0].name: array} if self.named else array
        given = _named(inputs)
        for name in given:
            if name not in self._by_name:
                raise UnknownColumn(name, self._by_name)
        missing = [field.name for field in self.inputs if field.required and field.name not in given]
        if missing:
            raise MissingColumns(missing, given)
        return {name: _shaped(tensor, self._by_name[name]) for name, tensor in given.items()}


def _fields(schema: Any, prefix: str) -> list[Field]:
    if schema is None:
        return []
    found = []
    for index, spec in enumerate(schema.inputs):
        name = spec.name or f"{prefix}{index}"
        if schema.is_tensor_spec():
            datatype = datatype_of(spec.type)
            converter = CONVERTERS.get(datatype, (columns.objects, "object"))
            found.append(Field(name, datatype, tuple(spec.shape), "np", converter, spec.required))
        else:
            kind = getattr(spec.type, "name", "")
            datatype, content_type, converter = _COLUMN_TYPES.get(kind, _ANYTHING)
            found.append(Field(name, datatype, (-1, 1), content_type, converter, spec.required))
    return found


def _as_answered(field: Field, index: int) -> Field:
    """An output as `results` writes it: nameless ones count from 1, a value per row is a column."""
    name = f"output-{index + 1}" if field.name == f"output-{index}" else field.name
    shape = (*field.shape, 1) if len(field.shape) == 1 else field.shape
    return replace(field, name=name, shape=shape)


def _named(inputs: list[Tensor]) -> dict[str, Tensor]:
    given: dict[str, Tensor] = {}
    for tensor in inputs:
        if tensor.name in given:
            raise InvalidRequest(f"input {tensor.name} stands twice")
        given[tensor.name] = tensor
    return given


def _rows(inputs: list[Tensor]) -> int:
    rows = inputs[0].shape[0] if inputs[0].shape else 1
    for tensor in inputs[1:]:
        count = tensor.shape[0] if tensor.shape else 1
        if count != rows:
            raise InvalidShape(f"{inputs[0].name} has {rows} rows, {tensor.name} has {count}")
    return rows


def _shaped(tensor: Tensor, field: Field) -> Any:
    """The array that a tensor's field wants; a lone row gets its batch dimension."""
    shape = tensor.shape
    if len(shape) == len(field.shape) - 1 and field.shape[0] == -1:
        shape = (1, *shape)
    fits = len(shape) == len(field.shape) and all(
        want in (-1, got) for want, got in zip(field.shape, shape, strict=True)
    )
    if not fits:
        raise InvalidShape(
            f"{tensor.name} has shape {list(tensor.shape)}, the model takes {list(field.shape)} (-1: any)"
        )
    convert, dtype = field.converter
    return convert(tensor, dtype).reshape(shape)


def _by_content_type(request: Request) -> Any:
    inputs = request.inputs
    kind = request.content_type or inputs[0].content_type
    if kind == "pd" or (len(inputs) > 1 and kind != "np"):
        rows = _rows(inputs)
        return pandas.DataFrame({name: _column(tensor, rows) for name, tensor in _named(inputs).items()})
    if len(inputs) > 1:
        return {name: _array(tensor) for name, tensor in _named(inputs).items()}
    if kind == "str":
        return list(columns.strings(inputs[0], "object"))
    return _array(inputs[0])


def _array(tensor: Tensor) -> Any:
    return columns.natural(tensor).reshape(tensor.shape)


def _column(tensor: Tensor, rows: int) -> Any:
    values = columns.natural(tensor)
    if len(values) == rows:
        return values
    return list(values.reshape(tensor.shape))
