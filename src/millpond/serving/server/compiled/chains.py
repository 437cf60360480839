"""Pipelines, and transformers side by side."""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.compiled.frame import Frame, Unhandled, matrix_of
from millpond.serving.server.compiled.steps import Learnt, Step, Unsupported, build, knows


@knows("Pipeline")
def pipeline(estimator: Any, method: str, learnt: Learnt) -> Step:
    """One step after the other."""
    steps = [
        build(step, "transform", learnt)
        for _, step in estimator.steps[:-1]
        if step is not None and step != "passthrough"
    ]
    last = estimator.steps[-1][1]
    if last is not None and last != "passthrough":
        steps.append(build(last, method, learnt))
    if len(steps) == 1:
        return steps[0]

    def run(data: Any) -> Any:
        for step in steps:
            data = step(data)
        return data

    return run


@knows("ColumnTransformer")
def columns(estimator: Any, method: str, learnt: Learnt) -> Step:
    """Each transformer on its columns, the results beside one another."""
    parts: list[tuple[Any, Step | None]] = []
    for _, transformer, chosen in estimator.transformers_:
        which = _chosen(chosen, estimator)
        if transformer == "drop" or not len(which):
            continue
        if isinstance(transformer, str) and transformer != "passthrough":
            raise Unsupported(f"there is no faster form of a transformer {transformer}")
        step = None if transformer == "passthrough" else build(transformer, "transform", learnt)
        parts.append((which, step))
    if not parts:
        raise Unsupported("a ColumnTransformer without transformers")

    def run(data: Any) -> Any:
        found = []
        for which, step in parts:
            part = _taken(data, which)
            found.append(matrix_of(part if step is None else step(part)))
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    return run


def _chosen(chosen: Any, estimator: Any) -> Any:
    """Names, or numbers of columns."""
    if isinstance(chosen, str):
        raise Unsupported("a transformer that takes one column as a series")
    if isinstance(chosen, slice):
        if any(isinstance(edge, str) for edge in (chosen.start, chosen.stop)):
            raise Unsupported("a transformer that takes a slice of names")
        return list(range(estimator.n_features_in_)[chosen])
    found = np.asarray(chosen)
    if found.dtype == bool:
        return np.flatnonzero(found).tolist()
    if found.dtype.kind not in "iuUO":
        return [] if not found.size else found.astype(int).tolist()
    return found.tolist()


def _taken(data: Any, which: list[Any]) -> Any:
    if isinstance(data, Frame):
        if isinstance(which[0], str):
            return data[which]
        names = data.columns
        return data[[names[at] for at in which]]
    if isinstance(which[0], str):
        raise Unhandled("columns are asked for by name where there is a matrix")
    return data[:, which]
