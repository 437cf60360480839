"""The monitor's numbers beside scipy's, scikit-learn's and published ones; run in the science environment.

Prints one JSON object: for each name the monitor's value and the one that is known.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics

from millpond.serving.monitor.columns import Sample
from millpond.serving.monitor.distance import distance
from millpond.serving.monitor.drift import drift, psi
from millpond.serving.monitor.experiment import experiment, newcombe, wilson
from millpond.serving.monitor.quality import quality
from millpond.serving.monitor.record import Feedback, Prediction
from millpond.serving.monitor.sequential import START, sequential

Pairs = dict[str, list[Any]]
random = np.random.default_rng(7)


def prediction(
    identity: str, values: list[Any], revision: str = "m-1", *, shadow: bool = False, width: int = 1
) -> Prediction:
    """One answered V2 prediction."""
    kind = "BYTES" if isinstance(values[0], str) else "INT64" if isinstance(values[0], int) else "FP64"
    shape = [len(values) // width, width]
    body = {"outputs": [{"name": "y", "shape": shape, "datatype": kind, "data": values}]}
    return Prediction(
        identity, revision, 1.0, 1.0, 200, "v2", "/", shadow, None, None, b"", None, None,
        json.dumps(body).encode(),
    )  # fmt: skip


def feedback(identity: str, when: float = 2.0, **body: Any) -> Feedback:
    """What became of it."""
    return Feedback(identity, "anywhere", when, json.dumps({"id": identity, **body}).encode())


def intervals() -> Pairs:
    """Wilson: Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I.

    Differences: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", table II, method 10.
    """
    single = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611)}
    double = {
        (56, 70, 48, 80): (0.0524, 0.3339),
        (9, 10, 3, 10): (0.1705, 0.8090),
        (6, 7, 2, 7): (0.0582, 0.8062),
        (5, 56, 0, 29): (-0.0381, 0.1926),
        (0, 10, 0, 10): (-0.2775, 0.2775),
        (10, 10, 0, 10): (0.6075, 1.0),
    }
    found: Pairs = {f"wilson {key}": [wilson(*key), known] for key, known in single.items()}
    for (a, m, b, n), known in double.items():
        found[f"newcombe {a}/{m} {b}/{n}"] = [newcombe((a, m), (b, n)), known]
    return found


def drifts() -> Pairs:
    """PSI by hand, KS by scipy, and the verdicts."""
    same, later = random.normal(size=2000), random.normal(size=1500)
    found = distance(Sample(same.tolist(), 0), Sample((later + 0.2).tolist(), 0))
    assert found is not None
    known = stats.ks_2samp(same, later + 0.2)
    half = 0.25 * np.log(0.75 / 0.5) + (0.25 - 0.5) * np.log(0.25 / 0.5)

    def verdict(before: Sample, now: Sample) -> str:
        return str(drift({"x": before}, {"x": now})[0]["verdict"])

    before = Sample(same.tolist(), 0)
    letters = Sample(["a"] * 500 + ["b"] * 500, 0)
    new = drift({"x": letters}, {"x": Sample(["a"] * 250 + ["b"] * 250 + ["c"] * 500, 0)})[0]
    return {
        "psi of halves and quarters": [psi([50, 50], [75, 25]), half],
        "psi of equal tables": [psi([10, 20, 30], [1, 2, 3]), 0.0],
        "ks": [[found["value"], found["p_value"]], [known.statistic, known.pvalue]],
        "no drift": [verdict(before, Sample(later.tolist(), 0)), "stable"],
        "shifted": [verdict(before, Sample((later + 1).tolist(), 0)), "large shift"],
        "missing": [verdict(before, Sample(later.tolist(), 300)), "moderate shift"],
        "gone": [verdict(before, Sample([], 0)), "not seen any more"],
        "few": [verdict(before, Sample([1.0] * 50, 0)), "too few values"],
        "new category": [[new["verdict"], new["new"]], ["large shift", [{"value": "c", "count": 500}]]],
    }


def experiments() -> Pairs:
    """Who gets an outcome, and what the rule says."""
    predictions = [prediction(f"a{i}", [1.0], "m-1") for i in range(400)]
    predictions += [prediction(f"b{i}", [1.0], "m-2") for i in range(400)]
    predictions += [prediction(f"a{i}", [1.0], "m-2", shadow=True) for i in range(400)]
    told = [feedback(f"a{i}", reward=i < 100) for i in range(400)]
    told += [feedback(f"b{i}", 3.0, reward=i < 200) for i in range(400)]
    told += [feedback("b399", 4.0, reward=1), feedback("b399", 1.0, reward=0), feedback("nobody", reward=1)]
    found = experiment(["m-1", "m-2"], predictions, told)
    [pair] = found["comparisons"]
    a, b = random.normal(1, 1, 300), random.normal(1.1, 2, 250)
    told = [feedback(f"a{i}", reward=v) for i, v in enumerate(a)]
    told += [feedback(f"b{i}", reward=v) for i, v in enumerate(b)]
    numbers = experiment(["m-1", "m-2"], predictions, told)["comparisons"][0]
    welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    early = experiment(["m-1", "m-2"], predictions, told[:50])["comparisons"][0]
    return {
        "means": [[arm["mean"] for arm in found["arms"]], [0.25, 201 / 400]],
        "outcomes": [[arm["feedback"] for arm in found["arms"]], [400, 400]],
        "predictions": [[arm["predictions"] for arm in found["arms"]], [400, 400]],
        "unattributed": [found["unattributed"], 1],
        "difference": [pair["difference"], 201 / 400 - 0.25],
        "difference interval": [pair["interval"], newcombe((201, 400), (100, 400))],
        "verdict": [[pair["verdict"], pair["stop"]], ["m-2 is better", True]],
        "early": [[early["verdict"], early["stop"]], ["too early", False]],
        "welch": [numbers["interval"], [welch.low, welch.high]],
    }


def qualities() -> Pairs:
    """Classes, scores and numbers, by scikit-learn."""
    truth = random.integers(0, 3, 300)
    said = np.where(random.random(300) < 0.8, truth, random.integers(0, 3, 300))
    shadow = np.where(random.random(300) < 0.5, truth, random.integers(0, 3, 300))
    predictions = [prediction(f"{i}", [int(v)]) for i, v in enumerate(said)]
    predictions += [prediction(f"{i}", [int(v)], "m-2", shadow=True) for i, v in enumerate(shadow)]
    told = [feedback(f"{i}", truth=int(v)) for i, v in enumerate(truth)]
    both = quality(predictions, told)
    first, second = (both["revisions"][name]["prediction"] for name in ("m-1", "m-2"))
    binary = random.integers(0, 2, 300)
    scores = np.clip(binary * 0.3 + random.random(300) * 0.7, 0, 1)
    single = quality(
        [prediction(f"{i}", [float(v)]) for i, v in enumerate(scores)],
        [feedback(f"{i}", truth=int(v)) for i, v in enumerate(binary)],
    )["revisions"]["m-1"]["prediction"]
    paired = quality(
        [prediction(f"{i}", [float(1 - v), float(v)], width=2) for i, v in enumerate(scores)],
        [feedback(f"{i}", truth=int(v)) for i, v in enumerate(binary)],
    )["revisions"]["m-1"]["prediction"]
    real = random.normal(size=200)
    guess = real + random.normal(size=200) * 0.3
    number = quality(
        [prediction(f"{i}", [float(v)]) for i, v in enumerate(guess)],
        [feedback(f"{i}", truth=float(v)) for i, v in enumerate(real)],
    )["revisions"]["m-1"]["prediction"]
    area = metrics.roc_auc_score(binary, scores)
    return {
        "matched": [both["matched"], 300],
        "confusion": [first["confusion"], metrics.confusion_matrix(truth, said).tolist()],
        "accuracy": [first["accuracy"], metrics.accuracy_score(truth, said)],
        "f1": [first["f1"], metrics.f1_score(truth, said, average="macro")],
        "shadow": [second["accuracy"], metrics.accuracy_score(truth, shadow)],
        "auc": [single["auc"], area],
        "auc of two columns": [paired["auc"], area],
        "r2": [number["r2"], metrics.r2_score(real, guess)],
        "rmse": [number["rmse"], float(np.sqrt(((real - guess) ** 2).mean()))],
        "mae": [number["mae"], float(np.abs(real - guess).mean())],
    }


def alarms(first: float, second: float, runs: int = 1000, most: int = 1500) -> float:
    """The share of experiments that ever say there is a difference, looked at after each pair of outcomes."""
    counts = np.arange(1, most + 1)
    sums = [(random.random((runs, most)) < rate).cumsum(axis=1) for rate in (first, second)]
    rates = [(total + 1) / (counts + 2) for total in sums]
    variances = [rate * (1 - rate) for rate in rates]
    differences = (sums[1] - sums[0]) / counts
    wrong = 0
    for run in range(runs):
        for look in range(START - 1, most):
            count = look + 1
            found = sequential(
                float(differences[run, look]),
                (float(variances[0][run, look]), float(variances[1][run, look])),
                (count, count),
            )
            if found is not None and (found.low > 0 or found.high < 0):
                wrong += 1
                break
    return wrong / runs


def stopping() -> Pairs:
    """Shares of alarms: of no difference, and of a real one."""
    return {"none": [alarms(0.3, 0.3), 0.05], "real": [alarms(0.3, 0.45, runs=200), 1.0]}


if __name__ == "__main__":
    chosen = {f.__name__: f for f in (intervals, drifts, experiments, qualities, stopping)}[sys.argv[1]]
    sys.stdout.write(json.dumps(chosen(), default=float))
