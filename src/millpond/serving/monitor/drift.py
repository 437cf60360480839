"""Whether what comes in, or what goes out, has changed since a reference.

The population stability index of a column: the sum over bins of ``(p - q) ln(p / q)``, p and q the
shares of now and of the reference (Lewis 1994; Siddiqi, "Credit Risk Scorecards", 2006). Bins are the
tenths of the reference, or the categories. By its custom, below 0.1 is stable and from 0.25 on a large
shift. Samples of equal distributions have a PSI too, about chi-squared times ``1/n + 1/m`` (Yurdakul and
Naranjo, "Statistical properties of the population stability index", Journal of Risk Model Validation 14(4),
2020): a shift is only called one when it is beyond what one such sample in a thousand shows. Beside it stands
the distance of `distance`: KS for numbers, total variation for classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from millpond.serving.monitor.columns import NUMBER, Sample, kind_of
from millpond.serving.monitor.distance import distance

STABLE, MODERATE, LARGE, TOO_FEW = "stable", "moderate shift", "large shift", "too few values"
GONE, NEW = "not seen any more", "not in the reference"
_ORDER = (TOO_FEW, STABLE, NEW, MODERATE, GONE, LARGE)
_BINS = 10
_CATEGORIES = 50
_FEWEST = 100
_FLOOR = 1e-4  # an empty bin's share: PSI has no value at zero
_RARE = 0.001
_MISSING = 0.02  # a change of the missing rate below this is no news


def drift(reference: dict[str, Sample], now: dict[str, Sample]) -> list[dict[str, Any]]:
    """Each column of the two, what changed most first."""
    names = list(dict.fromkeys([*reference, *now]))
    empty = Sample([], 0)
    found = [_column(name, reference.get(name, empty), now.get(name, empty)) for name in names]
    return sorted(found, key=lambda item: (-_ORDER.index(item["verdict"]), -(item["psi"] or 0.0)))


def verdict(columns: list[dict[str, Any]]) -> str:
    """The worst of the columns' verdicts, in its words."""
    found = {column["verdict"] for column in columns}
    return next((word for word in reversed(_ORDER) if word in found), TOO_FEW)


def _column(name: str, reference: Sample, now: Sample) -> dict[str, Any]:
    sizes = (len(reference.values), len(now.values))
    answer: dict[str, Any] = {
        "name": name,
        "kind": kind_of(reference, now),
        "values": {"reference": sizes[0], "now": sizes[1]},
        "psi": None,
        "psi_chance": None,
        "distance": distance(reference, now),
        "missing": _missing(reference, now),
        "new": [],
        "bins": None,
    }
    if not reference.rows or not now.rows:
        return {**answer, "verdict": GONE if reference.rows else NEW}
    if min(sizes) < _FEWEST:
        lost = now.rows >= _FEWEST and reference.rows >= _FEWEST and answer["missing"]["changed"]
        return {**answer, "verdict": LARGE if lost else TOO_FEW}
    if answer["kind"] == NUMBER:
        edges = edges_of(reference.numbers())
        before, after = counted(reference.numbers(), edges), counted(now.numbers(), edges)
        answer["bins"] = {"edges": edges.tolist()}
    else:
        names, before, after = _categories(reference, now)
        answer["bins"] = {"names": names}
        known = reference.counts()
        new = [(label, count) for label, count in now.counts().most_common() if label not in known]
        answer["new"] = [{"value": label, "count": count} for label, count in new[:10]]
    answer["bins"] |= {"reference": before.tolist(), "now": after.tolist()}
    value, chance = psi(before, after), psi_chance(before, after)
    word = STABLE
    if value > chance:
        word = LARGE if value >= 0.25 else MODERATE if value >= 0.1 else STABLE
    if word == STABLE and answer["missing"]["changed"]:
        word = MODERATE
    return {**answer, "psi": value, "psi_chance": chance, "verdict": word}


def psi(reference: Any, now: Any) -> float:
    """The population stability index of two arrays of counts, bin by bin."""
    q = np.maximum(np.asarray(reference) / np.sum(reference), _FLOOR)
    p = np.maximum(np.asarray(now) / np.sum(now), _FLOOR)
    return float(((p - q) * np.log(p / q)).sum())


def psi_chance(reference: Any, now: Any, level: float = _RARE) -> float:
    """The PSI that samples of these sizes from one distribution exceed with probability `level`."""
    bins = int(((np.asarray(reference) + np.asarray(now)) > 0).sum())
    sizes = 1 / np.sum(reference) + 1 / np.sum(now)
    return float(stats.chi2.ppf(1 - level, max(1, bins - 1)) * sizes)


def edges_of(values: Any, bins: int = _BINS) -> Any:
    """The inner edges of a reference's bins: its quantiles, each once."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)[1:-1]))
    if len(edges) == 1:  # a constant: below, equal, above
        return np.array([np.nextafter(edges[0], -np.inf), edges[0]])
    return edges


def counted(values: Any, edges: Any) -> Any:
    """How many values are in each bin; an edge belongs to the bin below it."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)


def _categories(reference: Sample, now: Sample) -> tuple[list[str], Any, Any]:
    """Counts by category: those most frequent in the reference, the rest as one."""
    before, after = reference.counts(), now.counts()
    names = [name for name, _ in before.most_common(_CATEGORIES)]
    rest = [sum(counts.values()) - sum(counts[name] for name in names) for counts in (before, after)]
    tables = [[counts[name] for name in names] for counts in (before, after)]
    if any(rest):
        names.append("any other")
        tables = [[*table, left] for table, left in zip(tables, rest, strict=True)]
    return names, np.array(tables[0]), np.array(tables[1])


def _missing(reference: Sample, now: Sample) -> dict[str, Any]:
    rates = [part.missing / part.rows if part.rows else None for part in (reference, now)]
    changed = False
    if None not in rates and abs(rates[0] - rates[1]) >= _MISSING:  # type: ignore[operator]
        table = [[part.missing, len(part.values)] for part in (reference, now)]
        changed = bool(stats.fisher_exact(table).pvalue < _RARE)
    return {"reference": rates[0], "now": rates[1], "changed": changed}
