"""How good a revision's predictions were, once the truth came in by feedback.

A truth belongs to all revisions that answered the request with its id: a shadow is judged by it as well as
the primary. Classes: accuracy with Wilson's interval, F1 (mean over the classes), the confusion matrix, and
the ROC curve with its area where the model gives scores. Numbers: R², mean absolute and root mean squared
error. All of them are scikit-learn's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import metrics

from millpond.serving.monitor.bodies import PREDICTION, content, outcome
from millpond.serving.monitor.columns import CLASS, Sample, kind_of, label
from millpond.serving.monitor.experiment import wilson
from millpond.serving.monitor.record import Feedback, Prediction

_CLASSES = 30  # a confusion matrix beyond this is nothing to look at
_POINTS = 100


@dataclass
class _Judged:
    """Truths beside what was predicted, row by row; `scores` holds a list per row where there are some."""

    truths: list[Any] = field(default_factory=list)
    predicted: list[Any] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)


def quality(predictions: list[Prediction], feedback: list[Feedback]) -> dict[str, Any]:
    """Each revision's quality, by output."""
    truths: dict[str, Any] = {}
    for entry in sorted(feedback, key=lambda item: item.time):
        truth = outcome(entry).truth
        if truth is not None:
            truths[entry.id] = truth
    judged: dict[str, dict[str, _Judged]] = {}
    matched: set[str] = set()
    for prediction in predictions:
        if prediction.id in truths and prediction.answered:
            found = _rows(content(prediction).outputs, truths[prediction.id])
            matched.update([prediction.id] if found else [])
            outputs = judged.setdefault(prediction.revision, {})
            for name, truth, predicted, scores in found:
                part = outputs.setdefault(name, _Judged())
                part.truths.append(truth)
                part.predicted.append(predicted)
                if scores is not None:
                    part.scores.append(scores)
    return {
        "truths": len(truths),
        "matched": len(matched),
        "revisions": {
            revision: {name: _measured(part) for name, part in outputs.items()}
            for revision, outputs in judged.items()
        },
    }


def _rows(outputs: dict[str, list[Any]], truth: Any) -> list[tuple[str, Any, Any, list[float] | None]]:
    """A prediction's rows with their truths: output, truth, predicted, scores."""
    if not outputs:
        return []
    if isinstance(truth, dict):  # a truth for each output by its name
        return [
            row for name, own in truth.items() if name in outputs for row in _rows({name: outputs[name]}, own)
        ]
    count = len(next(iter(outputs.values())))
    truths = truth if isinstance(truth, list) else [truth]
    if len(truths) != count:
        return []
    if len(outputs) == 1:
        name, values = next(iter(outputs.items()))
        return [(name, a, b, None) for a, b in zip(truths, values, strict=True) if None not in (a, b)]
    matrix = list(outputs.values())
    if all(name.startswith(f"{PREDICTION} ") for name in outputs):  # a score per class
        rows = [[column[row] for column in matrix] for row in range(count)]
        return [
            (PREDICTION, a, int(np.argmax(row)), [float(value) for value in row])
            for a, row in zip(truths, rows, strict=True)
            if a is not None and all(isinstance(value, int | float) for value in row)
        ]
    name = next(
        (name for name, values in outputs.items() if not isinstance(values[0], float)), next(iter(outputs))
    )
    return [(name, a, b, None) for a, b in zip(truths, outputs[name], strict=True) if None not in (a, b)]


def _measured(part: _Judged) -> dict[str, Any]:
    truths, predicted = Sample(part.truths, 0), Sample(part.predicted, 0)
    if kind_of(truths) == CLASS and _binary(part.truths) and _share(part.predicted):
        scores = np.array(part.predicted, dtype="float64")
        said = [label(int(value >= 0.5)) for value in scores]
        answer = _classes([label(int(value)) for value in part.truths], said)
        return {**answer, "threshold": 0.5, **_roc(np.array(part.truths, dtype=int), scores)}
    if part.scores or kind_of(truths, predicted) == CLASS or kind_of(truths) == CLASS != _numeric(predicted):
        answer = _classes([label(value) for value in part.truths], [label(value) for value in part.predicted])
        return {**answer, **_scored(part)}
    return _numbers(np.array(part.truths, dtype="float64"), np.array(part.predicted, dtype="float64"))


def _numeric(sample: Sample) -> str:
    """``class`` for a sample that is no numbers at all, so that it cannot be subtracted."""
    return "number" if all(isinstance(value, int | float) for value in sample.values) else CLASS


def _binary(truths: list[Any]) -> bool:
    return all(isinstance(value, bool | int | float) and value in (0, 1) for value in truths)


def _share(values: list[Any]) -> bool:
    """Whether these are scores between 0 and 1, and not classes 0 and 1."""
    floats = all(isinstance(value, float) for value in values)
    return floats and all(0 <= value <= 1 for value in values) and any(0 < value < 1 for value in values)


def _classes(truths: list[str], predicted: list[str]) -> dict[str, Any]:
    names = sorted({*truths, *predicted})
    right = sum(a == b for a, b in zip(truths, predicted, strict=True))
    answer: dict[str, Any] = {
        "kind": CLASS,
        "rows": len(truths),
        "accuracy": float(metrics.accuracy_score(truths, predicted)),
        "accuracy_interval": wilson(right, len(truths)),
        "f1": float(metrics.f1_score(truths, predicted, average="macro", zero_division=0)),
        "classes": names[:_CLASSES],
        "confusion": None,
    }
    if len(names) <= _CLASSES:
        answer["confusion"] = metrics.confusion_matrix(truths, predicted, labels=names).tolist()
    return answer


def _roc(truths: Any, scores: Any) -> dict[str, Any]:
    if len(set(truths.tolist())) < 2:
        return {"auc": None, "roc": None}
    false, true, _ = metrics.roc_curve(truths, scores)
    step = max(1, len(false) // _POINTS)
    kept = sorted({*range(0, len(false), step), len(false) - 1})
    return {
        "auc": float(metrics.roc_auc_score(truths, scores)),
        "roc": {"false_positive": false[kept].tolist(), "true_positive": true[kept].tolist()},
    }


def _scored(part: _Judged) -> dict[str, Any]:
    """The ROC of scores per class; of several classes the mean area of one against the rest."""
    if len(part.scores) != len(part.truths) or not part.scores:
        return {}
    widths = {len(row) for row in part.scores}
    scores = np.array(part.scores) if len(widths) == 1 else np.empty((0, 0))
    places = [value for value in part.truths if isinstance(value, int) and 0 <= value < scores.shape[1]]
    if len(places) != len(part.truths):
        return {}
    truths = np.array(places)
    if scores.shape[1] == 2:
        return _roc(truths, scores[:, 1])
    areas = [
        float(metrics.roc_auc_score(truths == place, scores[:, place]))
        for place in range(scores.shape[1])
        if 0 < (truths == place).sum() < len(truths)
    ]
    return {"auc": float(np.mean(areas)) if areas else None}


def _numbers(truths: Any, predicted: Any) -> dict[str, Any]:
    return {
        "kind": "number",
        "rows": len(truths),
        "r2": float(metrics.r2_score(truths, predicted)) if len(truths) > 1 else None,
        "mae": float(metrics.mean_absolute_error(truths, predicted)),
        "rmse": float(metrics.root_mean_squared_error(truths, predicted)),
        "mean_error": float((predicted - truths).mean()),
    }
