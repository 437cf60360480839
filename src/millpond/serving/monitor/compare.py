"""A primary and its shadow, request by request: do they agree, and at what price.

A pair is one request id that both have. The primary's records decide what is expected: one that has no
shadow record after a grace period is unanswered. Requests that the client got wrong count for nobody.
"""

from __future__ import annotations

from collections import Counter, deque
from time import time
from typing import Any

import numpy as np

from millpond.serving.monitor.bodies import content
from millpond.serving.monitor.columns import label
from millpond.serving.monitor.record import Prediction
from millpond.serving.monitor.summary import quantile

GRACE = 30.0
TOLERANCE = 1e-6
_EXAMPLES = 10
_MOST = 20_000  # pairs whose values are read; latency is told of all
_QUANTILES = (0.5, 0.9, 0.95, 0.99, 1.0)
_SHOWN = 2000


def pairs_of(
    primary: list[Prediction], shadow: list[Prediction]
) -> tuple[list[tuple[Prediction, Prediction]], list[Prediction]]:
    """Pairs by id, and the primary's records without a partner."""
    by_id: dict[str, deque[Prediction]] = {}
    for entry in shadow:
        by_id.setdefault(entry.id, deque()).append(entry)
    pairs, alone = [], []
    for entry in primary:
        partners = by_id.get(entry.id)
        if partners:  # an id that a client uses twice has as many partners
            pairs.append((entry, partners.popleft()))
        else:
            alone.append(entry)
    return pairs, alone


def compare(
    primary: list[Prediction],
    shadow: list[Prediction],
    *,
    tolerance: float = TOLERANCE,
    grace: float = GRACE,
    mirrored: float = 100.0,
    now: float | None = None,
) -> dict[str, Any]:
    """How a shadow does beside its primary.

    Args:
        primary, shadow: the records of the two, of the same time.
        tolerance: numbers agree when they differ by at most this, absolute or relative to the primary's.
        grace: seconds after which a missing shadow record counts.
        mirrored: per cent of the requests that the shadow gets; below 100 `unanswered` is None, as nobody
            knows which ones it should have.
        now: Unix seconds.
    """
    now = time() if now is None else now
    pairs, alone = pairs_of(primary, shadow)
    overdue = [entry for entry in alone if entry.answered and entry.time + entry.ms / 1000 < now - grace]
    both = [(first, second) for first, second in pairs if first.answered and second.answered]
    compared = [_Pair(first, second, tolerance) for first, second in both[-_MOST:]]
    known = [pair for pair in compared if pair.comparable]
    ratios = np.array([second.ms / first.ms for first, second in both if first.ms > 0])
    differences = np.array([value for pair in known for value in pair.differences])
    return {
        "pairs": len(pairs),
        "compared": len(known),
        "agreement": float(np.mean([pair.agrees for pair in known])) if known else None,
        "values": sum(pair.values for pair in known),
        "value_agreement": _share(sum(pair.equal for pair in known), sum(pair.values for pair in known)),
        "tolerance": tolerance,
        "difference": {f"{share:g}": quantile(np.abs(differences), share) for share in _QUANTILES},
        "mean_difference": float(differences.mean()) if len(differences) else None,
        "changes": _changes(known),
        "latency_ratio": {"p50": quantile(ratios, 0.5), "p99": quantile(ratios, 0.99)},
        "latency_ms": {"primary": _latency([a for a, _ in pairs]), "shadow": _latency([b for _, b in pairs])},
        "shadow_errors": sum(first.answered and not second.answered for first, second in pairs),
        "primary_errors": sum(first.failed for first in primary),
        "unanswered": len(overdue) if mirrored >= 100 else None,
        "waiting": sum(entry.answered for entry in alone) - len(overdue),
        "grace_seconds": grace,
        "examples": [pair.example() for pair in _worst(known)],
    }


class _Pair:
    """Two answers to one request, value by value."""

    def __init__(self, first: Prediction, second: Prediction, tolerance: float) -> None:
        self.first, self.second = first, second
        a, b = content(first).outputs, content(second).outputs
        self.names = [name for name in a if name in b]
        self.comparable = bool(a and b)
        same_shape = a.keys() == b.keys() and all(len(a[name]) == len(b[name]) for name in self.names)
        self.values = self.equal = 0
        self.differences: list[float] = []
        self.changes: list[tuple[str, str, str]] = []
        self.worst = 0.0 if same_shape else float("inf")
        for name in self.names:
            for left, right in zip(a[name], b[name], strict=False):
                self._look(name, left, right, tolerance)
        self.agrees = same_shape and self.equal == self.values

    def _look(self, name: str, left: Any, right: Any, tolerance: float) -> None:
        self.values += 1
        if isinstance(left, float) or isinstance(right, float):
            if left is None or right is None or isinstance(left, str) or isinstance(right, str):
                self.equal += left == right
                self.worst = max(self.worst, float(left != right))
                return
            difference = float(right) - float(left)
            self.differences.append(difference)
            close = abs(difference) <= tolerance * max(1.0, abs(float(left)))
            self.equal += close
            self.worst = max(self.worst, 0.0 if close else abs(difference))
        elif left == right:
            self.equal += 1
        else:
            self.changes.append((name, label(left), label(right)))
            self.worst = max(self.worst, _apart(left, right))

    def example(self) -> dict[str, Any]:
        """The pair for a person to look at."""
        return {
            "id": self.first.id,
            "time": self.first.time,
            "features": _short(content(self.first).features),
            "primary": _short(content(self.first).outputs),
            "shadow": _short(content(self.second).outputs),
            "difference": self.worst if np.isfinite(self.worst) else None,
        }


def _apart(left: Any, right: Any) -> float:
    numbers = isinstance(left, int) and isinstance(right, int)
    return abs(float(left) - float(right)) if numbers else 1.0


def _worst(pairs: list[_Pair]) -> list[_Pair]:
    apart = [pair for pair in pairs if not pair.agrees]
    return sorted(apart, key=lambda pair: pair.worst, reverse=True)[:_EXAMPLES]


def _changes(pairs: list[_Pair]) -> list[dict[str, Any]]:
    """Which class the shadow says instead of which, the most frequent first."""
    counts = Counter(change for pair in pairs for change in pair.changes)
    return [
        {"output": name, "primary": left, "shadow": right, "count": count}
        for (name, left, right), count in counts.most_common(_EXAMPLES)
    ]


def points(
    primary: list[Prediction], shadow: list[Prediction], tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """What a plot of the comparison shows, of at most 2000 pairs spread over all of them."""
    pairs, _ = pairs_of(primary, shadow)
    both = [(a, b) for a, b in pairs if a.answered and b.answered]
    step = max(1, -(-len(both) // _SHOWN))
    values: list[tuple[Any, Any]] = []
    output = None
    for first, second in both[::step]:
        a, b = content(first).outputs, content(second).outputs
        output = output or next((name for name in a if name in b), None)
        if output in a and output in b:
            values += [(x, y) for x, y in zip(a[output], b[output], strict=False) if None not in (x, y)]
    return {
        "output": output,
        "values": values[:_SHOWN],
        "primary_ms": [first.ms for first, _ in both],
        "shadow_ms": [second.ms for _, second in both],
    }


def _latency(found: list[Prediction]) -> dict[str, float | None]:
    times = np.array([entry.ms for entry in found if entry.answered])
    return {"p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}


def _short(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: values[:5] for name, values in list(columns.items())[:30]}


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
