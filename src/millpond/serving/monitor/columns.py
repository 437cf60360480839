"""Columns over many predictions, and whether they hold numbers or classes.

Strings and truth values are classes. So are whole numbers of which there are few: a classifier's
answers are 0, 1 and 2. Two samples that are compared are judged together, so that they are of
one kind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from millpond.serving.monitor.bodies import Columns, content
from millpond.serving.monitor.record import Prediction

NUMBER, CLASS = "number", "class"
MOST_ROWS = 20_000
_FEW = 20


@dataclass(frozen=True)
class Sample:
    """One column: its values that are there, and how many are missing."""

    values: list[Any]
    missing: int

    @property
    def rows(self) -> int:
        """Values and missing ones."""
        return len(self.values) + self.missing

    def numbers(self) -> Any:
        """The values as a float array."""
        return np.asarray(self.values, dtype="float64")

    def counts(self) -> Counter[str]:
        """How often each class is there."""
        return Counter(label(value) for value in self.values)


def label(value: Any) -> str:
    """A class as text: ``1`` and ``1.0`` are the same one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def kind_of(*samples: Sample) -> str:
    """Whether the samples together hold numbers or classes."""
    values = [value for sample in samples for value in sample.values]
    kinds = set(map(type, values))
    if not kinds <= {int, float}:
        return CLASS
    if kinds == {int}:
        distinct = set(values)
        if len(distinct) <= _FEW and len(distinct) <= max(2, len(values) // 5):
            return CLASS
    return NUMBER


def features(predictions: Iterable[Prediction]) -> dict[str, Sample]:
    """The features of predictions."""
    return _gathered(content(entry).features for entry in predictions)


def outputs(predictions: Iterable[Prediction]) -> dict[str, Sample]:
    """The outputs of predictions."""
    return _gathered(content(entry).outputs for entry in predictions)


def latest(predictions: list[Prediction], rows: int = MOST_ROWS) -> list[Prediction]:
    """The last predictions that together have at most so many rows, in their order."""
    found: list[Prediction] = []
    total = 0
    for entry in reversed(predictions):
        read = content(entry)
        total += max(
            (len(values) for side in (read.features, read.outputs) for values in side.values()), default=0
        )
        if total > rows and found:
            break
        found.append(entry)
    return found[::-1]


def _gathered(parts: Iterable[Columns]) -> dict[str, Sample]:
    values: dict[str, list[Any]] = {}
    rows = 0
    missing: Counter[str] = Counter()
    met: dict[str, int] = {}
    for columns in parts:
        if not columns:
            continue
        for name, found in columns.items():
            into = values.setdefault(name, [])
            before = len(into)
            into += [value for value in found if value is not None]
            missing[name] += len(found) - (len(into) - before)
            met[name] = met.get(name, 0) + len(found)
        rows += len(next(iter(columns.values())))
    # A request that leaves a feature out has it missing in all of its rows.
    return {name: Sample(found, missing[name] + rows - met[name]) for name, found in values.items()}
