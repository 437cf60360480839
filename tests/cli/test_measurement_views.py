"""What the monitor measured, as it is printed."""

from __future__ import annotations

from typing import Any

import pytest

from millpond.cli import measurement_views as views

LOG = {"mode": "all", "complete": True, "gaps": 0, "dropped": 0}
ARMS = [
    {"revision": "a-1", "predictions": 1200, "feedback": 400, "mean": 0.1, "interval": [0.074, 0.133]},
    {"revision": "a-2", "predictions": 1180, "feedback": 410, "mean": 0.2, "interval": [0.164, 0.241]},
]
RULE = {"name": "mixture sequential probability ratio test", "source": "Johari et al. (2022)", "start": 100}
COMPARISON = {
    "arm": "a-2",
    "against": "a-1",
    "difference": 0.1,
    "interval": [0.05, 0.149],
    "always_valid_interval": [0.02, 0.18],
    "p_value": 0.003,
    "alpha": 0.05,
    "verdict": "a-2 is better",
    "stop": True,
}


def comparison(**more: Any) -> dict[str, Any]:
    return {
        "primary": "a-1",
        "shadow": "a-2",
        "deployment": "a",
        "log": LOG,
        "pairs": 200,
        "compared": 200,
        "agreement": 0.97,
        "tolerance": 1e-6,
        "difference": {"0.5": 0.0, "0.99": 2.5, "1": 4.0},
        "mean_difference": 0.25,
        "changes": [{"output": "prediction", "primary": "2", "shadow": "1", "count": 6}],
        "latency_ratio": {"p50": 1.1, "p99": 2.0},
        "latency_ms": {"primary": {"p50": 1.0, "p99": 3.0}, "shadow": {"p50": 1.1, "p99": 6.0}},
        "shadow_errors": 3,
        "primary_errors": 0,
        "unanswered": 1,
        "examples": [{"id": "an-id", "primary": {"prediction": [2]}, "shadow": {"prediction": [1]}}],
        **more,
    }


def test_a_comparison_tells_agreement_differences_latency_and_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    views.compare(comparison())
    said = capsys.readouterr().out
    for line in (
        "pairs            200 requests that both answered",
        "agreement        97 % of the answers, within 1e-06",
        "difference       median 0, p99 2.5, most 4",
        "says instead     2 → 1 (6)",
        "latency          1.1 times the primary's at p50, 2 at p99",
        "primary 1 ms and 3 ms, shadow 1.1 ms and 6 ms",
        "shadow's errors  3",
        "unanswered       1",
        "an-id           2        1",
    ):
        assert line in said


def test_a_comparison_of_nothing_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    none = {"p50": None, "p99": None}
    empty = comparison(
        pairs=0, compared=0, agreement=None, mean_difference=None, changes=[], examples=[], unanswered=0,
        difference={"0.5": None}, latency_ratio=none, latency_ms={"primary": none, "shadow": none},
    )  # fmt: skip
    views.compare(empty)
    found = capsys.readouterr()
    assert "no request has been answered by both yet" in found.err
    assert "agreement" not in found.out


def test_an_experiment_tells_intervals_and_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"name": "prices", "reward": "binary", "arms": ARMS, "comparisons": [COMPARISON], "rule": RULE}
    views.experiment({**found, "unattributed": 2, "log": LOG})
    said = capsys.readouterr()
    for text in (
        "experiment prices",
        "a-1  1,200        400       10 %  7.4 % to 13.3 %",
        "difference     10 %, a-2 less a-1",
        "always valid   2 % to 18 % (95 %, whenever one looks)",
        "verdict        a-2 is better",
    ):
        assert text in said.out
    assert "Johari et al. (2022)" in said.err
    assert "warning: 2 outcomes of predictions that are not in the log" in said.err


def test_an_experiment_without_outcomes_says_when_it_will(capsys: pytest.CaptureFixture[str]) -> None:
    early = dict.fromkeys(COMPARISON) | {"arm": "a-2", "against": "a-1", "alpha": 0.05, "stop": False}
    arms = [arm | {"feedback": 0, "mean": None, "interval": None} for arm in ARMS]
    views.experiment(
        {"reward": None, "arms": arms, "comparisons": [early | {"verdict": "too early"}], "rule": RULE}
    )
    found = capsys.readouterr()
    assert "verdict  too early" in found.out
    assert "it says nothing before each arm has 100 outcomes" in found.err


def test_drift_lists_columns(capsys: pytest.CaptureFixture[str]) -> None:
    column = {
        "name": "distance",
        "verdict": "large shift",
        "psi": 0.4,
        "distance": {"metric": "ks", "value": 0.31},
        "missing": {"reference": 0.0, "now": 0.1, "changed": True},
        "values": {"reference": 1000, "now": 400},
    }
    reference = {"source": "the first 1000 rows", "revision": "a-1", "rows": 1000, "needed": 1000}
    views.drift({"verdict": "large shift", "reference": reference, "features": [column], "log": LOG})
    said = capsys.readouterr().out
    assert "large shift beside the first 1000 rows of a-1" in said
    assert "distance  large shift  0.4  0.31 (ks)  0 % → 10 %  400 beside 1,000" in said


def test_what_makes_numbers_doubtful_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    views.trust({"deployment": "a", "log": {"mode": "off", "complete": False, "gaps": 1, "dropped": 3}})
    said = capsys.readouterr().err
    assert "3 predictions could not be noted" in said
    assert "the log has 1 gap: a process died" in said
    assert "older predictions were left out" in said
    assert "`millpond deploy MODEL --name a --log` notes them" in said
