"""An experiment's outcomes: what each arm earned, by how much they differ, and whether one may stop.

An outcome belongs to the revision that answered, found by the prediction's id, wherever the feedback went.
Feedback that comes again for the same prediction replaces the earlier one. Intervals of one arm:
Wilson's for rewards that are 0 or 1 (Wilson 1927), Student's t for other numbers. Of a difference: Newcombe's
hybrid score interval (Newcombe 1998, method 10) and Welch's (Welch 1947). These hold for one look at a
time that was chosen before; the rule in `sequential` holds for as many as one likes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import stats

from millpond.serving.monitor.bodies import outcome
from millpond.serving.monitor.record import Feedback, Prediction
from millpond.serving.monitor.sequential import ALPHA, EXPECTED, START, sequential

_LEVEL = 0.95
RULE = {
    "name": "mixture sequential probability ratio test, asymptotic confidence sequence",
    "source": (
        "Johari, Koomen, Pekelis, Walsh (2022), Always Valid Inference; Waudby-Smith, Arbour, Sinha, "
        "Kennedy, Ramdas (2024), Time-uniform central limit theory and asymptotic confidence sequences"
    ),
    "start": START,
}


@dataclass(frozen=True)
class _Arm:
    revision: str
    predictions: int
    rewards: Any
    binary: bool

    @property
    def count(self) -> int:
        return len(self.rewards)

    @property
    def mean(self) -> float:
        return float(self.rewards.mean())

    @property
    def variance(self) -> float:
        """Of one reward. A rate is drawn a little to one half, so that 0 of 100 is not taken for certain."""
        if self.binary:
            rate = (float(self.rewards.sum()) + 1) / (self.count + 2)
            return rate * (1 - rate)
        return float(self.rewards.var(ddof=1)) if self.count > 1 else 0.0

    def interval(self) -> tuple[float, float] | None:
        if not self.count:
            return None
        if self.binary:
            return wilson(int(self.rewards.sum()), self.count)
        if self.count < 2:
            return None
        half = stats.t.ppf(0.5 + _LEVEL / 2, self.count - 1) * math.sqrt(self.variance / self.count)
        return self.mean - float(half), self.mean + float(half)

    def shown(self) -> dict[str, Any]:
        return {
            "revision": self.revision,
            "predictions": self.predictions,
            "feedback": self.count,
            "mean": self.mean if self.count else None,
            "interval": self.interval(),
        }


def experiment(
    arms: list[str],
    predictions: list[Prediction],
    feedback: list[Feedback],
    *,
    alpha: float = ALPHA,
    expected: int = EXPECTED,
) -> dict[str, Any]:
    """The arms' outcomes, each later arm against each earlier one, and what the stopping rule says.

    `alpha` is shared out among the comparisons (Bonferroni), so that it is the chance of any wrong alarm.
    """
    owners = {entry.id: entry.revision for entry in predictions if not entry.shadow}
    rewards: dict[str, dict[str, float]] = {arm: {} for arm in arms}
    unattributed = elsewhere = 0
    for entry in sorted(feedback, key=lambda item: item.time):
        reward = outcome(entry).reward
        if reward is None:
            continue
        owner = owners.get(entry.id)
        if owner in rewards:
            rewards[owner][entry.id] = reward
        elif owner is None:
            unattributed += 1
        else:
            elsewhere += 1
    everything = {value for found in rewards.values() for value in found.values()}
    binary = everything <= {0.0, 1.0}
    answered = dict.fromkeys(arms, 0)
    for prediction in predictions:
        if prediction.revision in answered and prediction.answered and not prediction.shadow:
            answered[prediction.revision] += 1
    found = [_Arm(arm, answered[arm], np.array(list(rewards[arm].values())), binary) for arm in arms]
    pairs = list(combinations(found, 2))
    share = alpha / max(1, len(pairs))
    return {
        "reward": None if not everything else "binary" if binary else "number",
        "arms": [arm.shown() for arm in found],
        "comparisons": [_comparison(first, second, share, expected) for first, second in pairs],
        "rule": {**RULE, "alpha": alpha},
        "unattributed": unattributed,
        "of_other_revisions": elsewhere,
    }


def _comparison(first: _Arm, second: _Arm, alpha: float, expected: int) -> dict[str, Any]:
    """The second arm against the first."""
    answer: dict[str, Any] = {
        "arm": second.revision,
        "against": first.revision,
        "difference": None,
        "interval": None,
        "always_valid_interval": None,
        "p_value": None,
        "alpha": alpha,
    }
    if first.count < 2 or second.count < 2:
        return {**answer, "verdict": "too early", "stop": False}
    difference = second.mean - first.mean
    answer |= {"difference": difference, "interval": _interval(first, second)}
    found = sequential(
        difference, (first.variance, second.variance), (first.count, second.count), alpha, expected
    )
    if found is None:
        return {**answer, "verdict": "too early", "stop": False}
    stop = found.low > 0 or found.high < 0
    better = second.revision if difference > 0 else first.revision
    return {
        **answer,
        "always_valid_interval": (found.low, found.high),
        "p_value": found.p_value,
        "verdict": f"{better} is better" if stop else "keep running",
        "stop": stop,
    }


def _interval(first: _Arm, second: _Arm) -> tuple[float, float] | None:
    if first.binary:
        return newcombe((int(second.rewards.sum()), second.count), (int(first.rewards.sum()), first.count))
    if first.variance + second.variance <= 0:
        return None
    found = stats.ttest_ind(second.rewards, first.rewards, equal_var=False)
    interval = found.confidence_interval(_LEVEL)
    return float(interval.low), float(interval.high)


def wilson(successes: int, count: int, level: float = _LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a rate."""
    found = stats.binomtest(successes, count).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def newcombe(first: tuple[int, int], second: tuple[int, int], level: float = _LEVEL) -> tuple[float, float]:
    """Newcombe's interval of the difference of two rates, each given as successes and count."""
    p, q = first[0] / first[1], second[0] / second[1]
    (low_p, high_p), (low_q, high_q) = wilson(*first, level), wilson(*second, level)
    return (
        p - q - math.hypot(p - low_p, high_q - q),
        p - q + math.hypot(high_p - p, q - low_q),
    )
