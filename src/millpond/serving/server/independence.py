"""Whether requests may be predicted together: tried on the model itself before anyone asks it.

Rows are independent when the whole is, bit for bit, its parts put together. A model that scales by the
batch, ranks, or sums in another order when there are more rows is found out and asked one by one.
"""

from __future__ import annotations

import logging
import warnings
from statistics import median
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from millpond.serving.server.batching import splits
from millpond.serving.server.errors import one_line
from millpond.serving.server.model import Model
from millpond.serving.server.samples import Samples
from millpond.serving.server.table import count_of, joined, key_of, part_of

log = logging.getLogger(__name__)

_SECONDS = 0.5
"""What the trial may take, so that a slow model does not start much later."""
_SIZES = (2, 3, 5, 16, 8, 31, 64)


def prove(model: Model, samples: Samples) -> None:
    """Set the model's `joins`, the reason for it, and its `seconds` for one row."""
    if model.loaded.rows_independent is False:
        model.joins, model.joins_reason = False, "the model says that its rows are not independent"
        return
    if not model.direct:
        model.joins, model.joins_reason = False, "its framework checks every request by itself"
        return
    if not samples.possible:
        return
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            model.seconds = _seconds(model, samples.rows(1))
            known = model.loaded.rows_independent
            model.joins, model.joins_reason = _tried(model, samples)
            if known is None and model.joins and model.loaded.framework == "python":
                # What code of anyone's own does with other rows than these, nobody can tell.
                model.joins, model.joins_reason = None, "nothing says that its rows are independent"
    except Exception as error:
        log.debug("the trial of independence failed", exc_info=error)
        model.joins, model.joins_reason = None, f"its trial failed: {one_line(error)}"


def _seconds(model: Model, data: Any) -> float:
    """The processor's time for one row."""
    taken = []
    for _ in range(7):
        began = thread_time()
        model.run(data)
        taken.append(thread_time() - began)
        if sum(taken) > _SECONDS / 5:
            break
    return median(taken)


def _tried(model: Model, samples: Samples) -> tuple[bool, str]:
    until = perf_counter() + _SECONDS
    tried = 0
    for size in _SIZES:
        data = samples.rows(size)
        if key_of(data) is None:
            return False, "its input cannot be joined"
        parts = [part_of(data, row, row + 1) for row in range(size)]
        whole = model.run_joined(joined(parts))
        if not splits(whole, count_of(data) or 0):
            return False, "its result is no array with a part for each row"
        for row, part in enumerate(parts):
            if not identical(part_of(whole, row, row + 1), model.run(part)):
                return False, f"the answer for a row differs with {size - 1} others beside it"
        tried += size
        if perf_counter() > until:
            break
    return True, f"the whole was its parts on {tried} rows"


def identical(one: Any, other: Any) -> bool:
    """Whether two results are the same, bit for bit; missing numbers are the same as missing numbers."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(identical(values, other[name]) for name, values in one.items())
        )
    if type(one) is not np.ndarray or type(other) is not np.ndarray:
        return False
    if one.shape != other.shape or one.dtype.kind != other.dtype.kind:
        return False
    if one.dtype.kind in "USO":
        return bool((one == other).all())
    return one.dtype == other.dtype and bool(np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
