"""What a revision did since a time: how much, how fast, how often wrongly, and what it answered."""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.monitor.columns import NUMBER, Sample, kind_of, latest, outputs
from millpond.serving.monitor.record import Prediction

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_MOST_CLASSES = 20


def summary(predictions: list[Prediction]) -> dict[str, Any]:
    """Requests, errors (the server's), refusals (the client's mistakes), latency in milliseconds, outputs."""
    times = np.array([entry.ms for entry in predictions if entry.answered])
    answered = [entry for entry in predictions if entry.answered]
    return {
        "requests": len(predictions),
        "errors": sum(entry.failed for entry in predictions),
        "refused": sum(400 <= entry.status < 500 for entry in predictions),
        "shadow": sum(entry.shadow for entry in predictions),
        "p50_ms": quantile(times, 0.5),
        "p90_ms": quantile(times, 0.9),
        "p99_ms": quantile(times, 0.99),
        "first": min((entry.time for entry in predictions), default=None),
        "last": max((entry.time for entry in predictions), default=None),
        "outputs": {name: describe(sample) for name, sample in outputs(latest(answered)).items()},
    }


def quantile(values: Any, share: float) -> float | None:
    """A quantile, or None of nothing."""
    return float(np.quantile(values, share)) if len(values) else None


def describe(sample: Sample) -> dict[str, Any]:
    """A column in a few numbers."""
    found: dict[str, Any] = {"rows": sample.rows, "missing": sample.missing, "kind": kind_of(sample)}
    if not sample.values:
        return found
    if found["kind"] == NUMBER:
        numbers = sample.numbers()
        found["mean"] = float(numbers.mean())
        found["std"] = float(numbers.std(ddof=1)) if len(numbers) > 1 else 0.0
        found["minimum"], found["maximum"] = float(numbers.min()), float(numbers.max())
        found["quantiles"] = {f"{share:g}": quantile(numbers, share) for share in _QUANTILES}
    else:
        counts = sample.counts()
        found["classes"] = dict(counts.most_common(_MOST_CLASSES))
        found["other"] = sum(counts.values()) - sum(found["classes"].values())
    return found
