"""The proof that a faster form is the original: both are asked the same, and have to say the same.

Asked are the model's own example; rows near it; rows at the very numbers that the model compares with, just
below and just above; missing values, zeros, very large numbers, words that it has never seen; tables without
their optional columns; one row and many. What the original refuses, the faster form has to refuse too: it
then hands over to the original, whose error the client gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from millpond.serving.server.compiled.frame import Unhandled
from millpond.serving.server.errors import one_line
from millpond.serving.server.samples import Samples
from millpond.serving.server.table import Table, count_of, part_of

Predict = Callable[[Any], Any]
_SINGLE_ROWS = 24
_ENOUGH = 20
"""Rows on which the two must have given answers; less is no proof."""


class Proof:
    """Compares two predictions; `rows` counts those that both answered.

    Args:
        original: the model's own predict, on data as `Signature.table` gives it.
        form: the faster one.
        tolerance: how far numbers may be apart, as a share of the larger of 1 and the original's.
    """

    def __init__(self, original: Predict, form: Predict, tolerance: float) -> None:
        self._original = original
        self._form = form
        self._tolerance = tolerance
        self.rows = 0

    def difference(self, samples: Samples) -> str | None:
        """What the two differ in; None when they are equal."""
        for data in _asked(samples):
            found = self._compared(data)
            if found is not None:
                return found
        if self.rows < _ENOUGH:
            return f"only {self.rows} of the rows that were tried have an answer"
        return None

    def _compared(self, data: Any) -> str | None:
        try:
            expected = self._original(data)
        except Exception as error:
            try:
                self._form(data)
            except Exception:
                return self._one_by_one(data)
            return f"the original refuses what it takes: {one_line(error, 120)}"
        try:
            found = self._form(data)
        except Unhandled:
            return None  # the original takes over
        except Exception as error:
            return f"it refuses what the original takes: {one_line(error, 120)}"
        self.rows += count_of(data) or 0
        return _apart(expected, found, self._tolerance)

    def _one_by_one(self, data: Any) -> str | None:
        """Rows of what was refused as a whole, as one of them may be the reason."""
        rows = count_of(data) or 0
        for row in range(min(rows, _SINGLE_ROWS) if rows > 1 else 0):
            found = self._compared(part_of(data, row, row + 1))
            if found is not None:
                return found
        return None


def _asked(samples: Samples) -> Iterator[Any]:
    yield samples.rows(1)
    yield samples.rows(200)
    strange = samples.rows(200, strange=0.3)
    yield strange
    usual = samples.rows(_SINGLE_ROWS)
    for row in range(_SINGLE_ROWS):
        yield part_of(strange, row, row + 1)
    for row in range(3):
        yield part_of(usual, row, row + 1)
    for name in samples.optional:
        yield Table({key: values for key, values in usual.columns.items() if key != name}, usual.rows)


def _apart(expected: Any, found: Any, tolerance: float) -> str | None:
    if type(expected) is not np.ndarray or type(found) is not np.ndarray:
        return f"the original gives a {type(expected).__name__}, it gives a {type(found).__name__}"
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return f"the original gives {expected.dtype}{expected.shape}, it gives {found.dtype}{found.shape}"
    if expected.dtype.kind != "f":
        wrong = int((expected != found).sum())
        return f"{wrong} of {expected.size} answers differ" if wrong else None
    scale = np.maximum(1.0, np.abs(expected))
    apart = np.abs(expected - found) / scale
    apart[np.isnan(expected) & np.isnan(found)] = 0.0
    apart[expected == found] = 0.0
    worst = float(np.max(apart, initial=0.0))
    if np.isnan(apart).any() or worst > tolerance:
        return f"an answer is {worst:.3g} off"
    return None
