"""Rows to try a model on: its own example, and what may come instead of it.

Values are moved a little and far, set to zero, to the edges that a model decides at, and left out; strings
are taken from the example, from the categories that a model knows, and from nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.signature import Signature
from millpond.serving.server.table import Table

UNSEEN = "\N{REPLACEMENT CHARACTER} never seen"
_FLOATS = ("float32", "float64")


class Samples:
    """Makes rows of one model's kind; the same seed makes the same rows.

    Args:
        signature: what the model takes.
        example: the model's own, or None: rows are then made of the types alone.
        words: strings that the model knows, by column; those under the empty name are for any.
        edges: numbers that the model compares with.

    Attributes:
        optional: the columns that a request may leave out.
    """

    def __init__(
        self,
        signature: Signature,
        example: Any,
        words: Mapping[str, Iterable[str]] = MappingProxyType({}),
        edges: Iterable[float] = (),
        seed: int = 0,
    ) -> None:
        self._signature = signature
        self._random = np.random.default_rng(seed)
        self.optional = [field.name for field in signature.inputs if not field.required]
        self._words = {name: np.array(sorted(known), dtype=object) for name, known in words.items()}
        self._edges = np.array(sorted(set(edges)), dtype=float)
        self._base = self._columns(example) if signature.known and not signature.tensors else None
        self._arrays = self._tensors(example) if self._base is None else None

    @property
    def possible(self) -> bool:
        """Whether rows can be made: there is a signature, or the example is an array of numbers."""
        return self._base is not None or self._arrays is not None

    def rows(self, count: int, strange: float = 0.0) -> Any:
        """Data as `Signature.table` gives it.

        Args:
            count: how many rows.
            strange: the share of values that are missing, at an edge, very large, or unknown words.
        """
        if self._base is None:
            assert self._arrays is not None
            made = {
                name: self._numbers(values[self._random.integers(len(values), size=count)], strange)
                for name, values in self._arrays.items()
            }
            return made if self._signature.named else next(iter(made.values()))
        columns = {name: self._column(name, values, count, strange) for name, values in self._base.items()}
        alike = self._signature.alike
        if alike is not None:
            matrix = np.empty((count, len(columns)), dtype=alike)
            for at, values in enumerate(columns.values()):
                matrix[:, at] = values
            return Table(None, count, pandas.Index(list(columns)), matrix)
        return Table(columns, count)

    def usual(self) -> Any:
        """One row of the example itself, else one like any other."""
        words, edges = self._words, self._edges
        self._words, self._edges = {}, self._edges[:0]
        try:
            return self.rows(1)
        finally:
            self._words, self._edges = words, edges

    def _columns(self, example: Any) -> dict[str, Any] | None:
        if isinstance(example, np.ndarray) and example.ndim == 2:
            example = pandas.DataFrame(example, columns=[field.name for field in self._signature.inputs])
        found: dict[str, Any] = {}
        for field in self._signature.inputs:
            dtype = field.converter[1]
            given = example.get(field.name) if isinstance(example, pandas.DataFrame) else None
            if field.content_type == "pd_json" or field.content_type == "base64":
                return None
            try:
                if given is None:
                    values = _anything(dtype, self._random)
                elif dtype == "object":
                    values = given.astype(object).where(given.notna(), None).to_numpy(dtype=object)
                else:
                    values = given.to_numpy(dtype=dtype)
            except (ValueError, TypeError):
                return None
            found[field.name] = values
        return found

    def _tensors(self, example: Any) -> dict[str, Any] | None:
        if isinstance(example, dict):
            found = {name: np.asarray(values) for name, values in example.items()}
        elif isinstance(example, np.ndarray):
            found = {"": example}
        elif self._signature.known and self._signature.tensors:
            fields = self._signature.inputs
            if any(field.datatype == "BYTES" or field.shape[:1] != (-1,) for field in fields):
                return None
            found = {
                field.name: self._random.normal(
                    size=[8, *(abs(length) for length in field.shape[1:])]
                ).astype(field.converter[1])
                for field in fields
            }
        else:
            return None
        usable = all(values.dtype.kind in "fiub" and values.ndim and len(values) for values in found.values())
        return found if usable else None

    def _column(self, name: str, values: Any, count: int, strange: float) -> Any:
        drawn = values[self._random.integers(len(values), size=count)]
        if drawn.dtype.kind == "M":
            return drawn + self._random.integers(-(10**15), 10**15, size=count).astype("timedelta64[ns]")
        if drawn.dtype != np.dtype(object):
            return self._numbers(drawn, strange)
        words = self._words.get(name, self._words.get(""))
        if words is not None:
            known = self._random.random(count) < 0.5
            drawn = np.where(known, self._random.choice(words, count), drawn)
        kind = self._random.random(count)
        drawn[kind < strange / 2] = UNSEEN
        drawn[(kind >= strange / 2) & (kind < strange)] = None
        return drawn

    def _numbers(self, drawn: Any, strange: float) -> Any:
        dtype, shape = drawn.dtype, drawn.shape
        if dtype.kind == "b":
            return self._random.random(shape) < 0.5
        scale = np.abs(drawn.astype(float)) + 1.0
        near = self._random.normal(size=shape) * scale * self._random.choice([0.0, 0.1, 1.0], shape)
        moved = drawn.astype(float) + near
        kind = self._random.random(shape)
        if len(self._edges):
            edge = self._random.choice(self._edges, shape)
            side = np.nextafter(edge, self._random.choice([-np.inf, np.inf], shape))
            moved = np.where(kind > 0.8, np.where(self._random.random(shape) < 0.5, edge, side), moved)
        odd = [0.0, -1.0, 1e6, -1e6, *([np.nan] * 4 if dtype.kind == "f" else [])]
        moved = np.where(kind < strange, self._random.choice(odd, shape), moved)
        if dtype.kind == "f":
            return moved.astype(dtype)
        limits = np.iinfo(dtype)
        return np.clip(np.rint(moved), max(limits.min, -(2.0**31)), min(limits.max, 2.0**31 - 1)).astype(
            dtype
        )


def _anything(dtype: str, random: Any) -> Any:
    if dtype == "object":
        return np.array(["a", "b"], dtype=object)
    if dtype.startswith("datetime64"):
        return np.array(["2026-01-01", "2020-02-29"], dtype=dtype)
    if dtype == "bool":
        return np.array([False, True])
    return (random.normal(size=8) * 10).astype(dtype)
