"""Rows by column, before a framework gives them its own form: cheap to make, to join and to split.

A pandas DataFrame of one row costs more than many a model's prediction, so it is made only for a
model that wants one, and once for all requests that are predicted together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas

Values = Any


class Table:
    """Columns of the same length.

    Attributes:
        columns: one-dimensional arrays (lists, for columns of anything) by name.
        rows: how many there are.
        matrix: all columns as one two-dimensional array, when they are numbers of one type.
        index: the names as pandas has them; made once per signature.
    """

    __slots__ = ("_columns", "index", "matrix", "rows")

    def __init__(
        self, columns: dict[str, Values] | None, rows: int, index: Any = None, matrix: Values = None
    ) -> None:
        self._columns = columns
        self.rows = rows
        self.index = index
        self.matrix = matrix

    @property
    def columns(self) -> dict[str, Values]:
        """The columns by name."""
        if self._columns is None:
            self._columns = {name: self.matrix[:, at] for at, name in enumerate(self.index)}
        return self._columns

    @property
    def key(self) -> Any:
        """Equal for tables that may be joined; None when this one has to stay alone.

        A column of strings with missing values stays alone: pandas chooses its type by what else is in it.
        """
        if self.matrix is not None:
            return True
        columns = self.columns
        for values in columns.values():
            kind = getattr(values, "dtype", None)
            if kind is None or (kind == np.dtype(object) and any(type(value) is not str for value in values)):
                return None
        return tuple(columns)

    def frame(self) -> pandas.DataFrame:
        """The same as pandas has it."""
        if self.matrix is not None:
            return pandas.DataFrame(self.matrix, columns=self.index, copy=False)
        return pandas.DataFrame(self.columns, copy=False)

    def part(self, start: int, stop: int) -> Table:
        """Some of the rows."""
        if self.matrix is not None:
            return Table(None, stop - start, self.index, self.matrix[start:stop])
        return Table({name: values[start:stop] for name, values in self.columns.items()}, stop - start)

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


Data = Any
"""What a model is asked with: a `Table`, an array, a dict of arrays, or whatever else it takes."""


def key_of(data: Data) -> Any:
    """Equal for data that may be joined; None when it has to stay alone."""
    if isinstance(data, Table):
        return data.key
    if isinstance(data, np.ndarray):
        return None if data.dtype == object or data.ndim == 0 else (data.dtype.str, data.shape[1:])
    if isinstance(data, dict):
        keys = tuple((name, key_of(values)) for name, values in data.items())
        alike = len({len(values) for values in data.values()}) == 1
        return keys if alike and all(key is not None for _, key in keys) else None
    return None


def count_of(data: Data) -> int | None:
    """How many rows there are; None when that cannot be said."""
    if isinstance(data, Table):
        return data.rows
    if isinstance(data, np.ndarray) and data.ndim:
        return len(data)
    if isinstance(data, dict) and data:
        return count_of(next(iter(data.values())))
    return None


def joined(parts: list[Data]) -> Data:
    """The rows of all, in their order; all have the same `key_of`."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)
    if isinstance(first, dict):
        return {name: np.concatenate([part[name] for part in parts]) for name in first}
    rows = sum(part.rows for part in parts)
    if first.matrix is not None:
        return Table(None, rows, first.index, np.concatenate([part.matrix for part in parts]))
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns}
    return Table(columns, rows)


def part_of(data: Data, start: int, stop: int) -> Data:
    """Some of the rows."""
    if isinstance(data, Table):
        return data.part(start, stop)
    if isinstance(data, dict):
        return {name: values[start:stop] for name, values in data.items()}
    return data[start:stop]
