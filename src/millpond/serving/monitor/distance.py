"""How far apart two samples of one column are, and how far apart chance alone puts equal ones.

Numbers: the two-sample Kolmogorov-Smirnov statistic (Smirnov 1948), the largest difference between two
empirical distribution functions. Classes: the total variation distance, half the sum of the
differences between two frequencies. Both are between 0 and 1, and neither is 0 in samples of equal
distributions: `chance` is what such samples exceed once in a hundred times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from millpond.serving.monitor.columns import NUMBER, Sample, kind_of

KS, TOTAL_VARIATION = "ks", "total-variation"
_LEVEL = 0.01
_DRAWS = 2000


def distance(first: Sample, second: Sample) -> dict[str, Any] | None:
    """The distance of two samples, with its p-value; None when one is empty."""
    if not first.values or not second.values:
        return None
    sizes = {"n_a": len(first.values), "n_b": len(second.values)}
    if kind_of(first, second) == NUMBER:
        found = stats.ks_2samp(first.numbers(), second.numbers(), method="auto")
        return {
            "metric": KS,
            "value": float(found.statistic),
            **sizes,
            "p_value": float(found.pvalue),
            "chance": smirnov(sizes["n_a"], sizes["n_b"]),
        }
    return {**_classes(first, second), **sizes}


def smirnov(first: int, second: int, level: float = _LEVEL) -> float:
    """The KS statistic that samples of these sizes exceed with probability `level`; asymptotic."""
    return float(min(1.0, np.sqrt(-np.log(level / 2) / 2 * (first + second) / (first * second))))


def _classes(first: Sample, second: Sample) -> dict[str, Any]:
    a, b = first.counts(), second.counts()
    names = sorted(a.keys() | b.keys())
    table = np.array([[a[name] for name in names], [b[name] for name in names]], dtype="float64")
    sizes = table.sum(axis=1).astype(int)
    value = total_variation(table[0], table[1])
    if len(names) == 1:
        return {"metric": TOTAL_VARIATION, "value": value, "p_value": 1.0, "chance": 0.0}
    # The distribution under equality has no handy form with small counts: draw from the pooled frequencies.
    pooled = table.sum(axis=0) / table.sum()
    random = np.random.default_rng(0)
    draws_a = random.multinomial(sizes[0], pooled, _DRAWS) / sizes[0]
    draws_b = random.multinomial(sizes[1], pooled, _DRAWS) / sizes[1]
    drawn = 0.5 * np.abs(draws_a - draws_b).sum(axis=1)
    return {
        "metric": TOTAL_VARIATION,
        "value": value,
        "p_value": float((1 + (drawn >= value - 1e-12).sum()) / (_DRAWS + 1)),
        "chance": float(np.quantile(drawn, 1 - _LEVEL)),
    }


def total_variation(first: Any, second: Any) -> float:
    """Half the sum of the absolute differences of two arrays of counts, as frequencies."""
    return float(0.5 * np.abs(first / first.sum() - second / second.sum()).sum())


def of_outputs(first: dict[str, Sample], second: dict[str, Sample]) -> dict[str, Any]:
    """The distance of two revisions' outputs: of several outputs, that of the one furthest apart.

    Without a common output the value is None, and nobody can say how far apart they are.
    """
    each = {}
    for name in first:
        found = distance(first[name], second[name]) if name in second else None
        if found is not None:
            each[name] = found
    if not each:
        sizes = [max((sample.rows for sample in side.values()), default=0) for side in (first, second)]
        return {"metric": None, "value": None, "n_a": sizes[0], "n_b": sizes[1], "outputs": {}}
    worst = max(each, key=lambda name: float(each[name]["value"]))
    return {**each[worst], "output": worst, "outputs": each}
