"""As much of a pandas DataFrame as an estimator's own code usually touches, without its cost.

What is not here raises, and the original model with a real DataFrame takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from millpond.serving.server.table import Table

Array = Any


class Unhandled(Exception):  # noqa: N818 - not an error: the original takes over
    """The faster form does not take this data."""


class Column(np.ndarray):  # type: ignore[misc]
    """A column: an array with the two ways in which a pandas Series becomes one."""

    def to_numpy(self, dtype: Any = None) -> Array:
        """The values."""
        return np.asarray(self, dtype=dtype)

    @property
    def values(self) -> Array:
        """The values."""
        return np.asarray(self)


class Frame:
    """Columns by name, in an order."""

    __slots__ = ("_columns", "_matrix", "_table", "rows")

    def __init__(self, columns: dict[str, Array] | None, rows: int, table: Table | None = None) -> None:
        self._columns = columns
        self._table = table
        self._matrix = table.matrix if table is not None else None
        self.rows = rows

    @classmethod
    def of(cls, table: Table) -> Frame:
        """The same rows."""
        return cls(None, table.rows, table)

    @property
    def arrays(self) -> dict[str, Array]:
        """The columns as arrays."""
        if self._columns is None:
            assert self._table is not None
            self._columns = self._table.columns
        return self._columns

    @property
    def columns(self) -> list[str]:
        """The names."""
        return list(self.arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.rows, len(self.arrays)

    def __len__(self) -> int:
        return self.rows

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrays)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self.arrays[key].view(Column)
        if isinstance(key, list):
            arrays = self.arrays
            return Frame({name: arrays[name] for name in key}, self.rows)
        raise Unhandled(f"a table is asked for {type(key).__name__}")

    def copy(self) -> Frame:
        """Another frame that can be given other columns."""
        return Frame(dict(self.arrays), self.rows)

    def reindex(self, *, columns: Iterable[str]) -> Frame:
        """The columns asked for; those that are not there are missing in every row."""
        arrays = self.arrays
        found = {}
        for name in columns:
            values = arrays.get(name)
            found[name] = np.full(self.rows, np.nan) if values is None else values
        return Frame(found, self.rows)

    def to_numpy(self, dtype: Any = float) -> Array:
        """All columns as one matrix of numbers."""
        return np.asarray(self.matrix(), dtype=dtype)

    def matrix(self) -> Array:
        """All columns as one matrix of doubles."""
        if self._matrix is None:
            made = np.empty((self.rows, len(self.arrays)))
            for at, values in enumerate(self.arrays.values()):
                if values.dtype == np.dtype(object):
                    raise Unhandled("a column of strings is asked for as numbers")
                made[:, at] = values
            self._matrix = made
        return self._matrix


def matrix_of(data: Any) -> Array:
    """Rows as a matrix of doubles."""
    if type(data) is np.ndarray:
        return data
    if isinstance(data, Frame):
        found = data.matrix()
        return found if found.dtype == np.float64 else found.astype(np.float64)
    raise Unhandled(f"rows come as a {type(data).__name__}")
