"""An automatic rollout's judgement: on, held, back."""

from __future__ import annotations

from millpond.serving.annotations import Rollout
from millpond.serving.controller.rollouts import Progress, Window, begin, judge

PLAN = Rollout(steps=(5, 25, 50, 100), interval=60.0, requests=100, failures=2)
GOOD = Window(200, 0, 10.0)


def after(
    progress: Progress,
    newest: Window | None,
    other: Window | None = GOOD,
    distance: float | None = 0.0,
    seconds: float = 60.0,
) -> Progress:
    return judge(PLAN, progress, progress.since + seconds, newest, other, distance)


def test_good_steps_lead_to_all_of_the_traffic() -> None:
    progress = begin(PLAN, "iris-00002", 1000.0)
    seen = [progress.percent]
    while not progress.over:
        progress = after(progress, GOOD)
        seen.append(progress.percent)
    assert seen == [5, 25, 50, 100]
    assert progress.phase == "promoted"


def test_a_step_lasts_its_interval_and_its_requests() -> None:
    progress = begin(PLAN, "iris-00002", 1000.0)
    assert after(progress, GOOD, seconds=59) is progress
    few = after(progress, Window(99, 0, 10.0))
    assert (few.phase, few.percent, few.failures) == ("held", 5, 0)
    assert few.reason == "99 of 100 answers that it is judged by"
    assert after(few, GOOD).percent == 25


def test_without_measurements_nothing_moves() -> None:
    progress = begin(PLAN, "iris-00002", 1000.0)
    held = after(progress, None)
    assert (held.phase, held.percent, held.failures) == ("held", 5, 0)
    assert "the monitor does not answer" in held.reason


def test_errors_latency_and_distance_hold_and_then_return_the_traffic() -> None:
    bad = [
        (Window(200, 10, 10.0), 0.0, "5.0% of its answers failed, 0.0% of the other's"),
        (Window(200, 0, 31.0), 0.0, "its p99 of 31.0 ms is 3.1 times the other's, 1.5 allowed"),
        (GOOD, 0.6, "its outputs are 0.60 away from the other's, 0.2 allowed"),
    ]
    for window, distance, reason in bad:
        progress = begin(PLAN, "iris-00002", 1000.0)
        held = after(progress, window, distance=distance)
        assert (held.phase, held.percent, held.failures, held.reason) == ("held", 5, 1, reason)
        assert after(held, GOOD).percent == 25, "one bad judgement may be chance"
        back = after(held, window, distance=distance)
        assert (back.phase, back.percent) == ("returned", 0)
        assert after(back, GOOD) is back


def test_the_other_revisions_own_failures_are_no_fault() -> None:
    progress = begin(PLAN, "iris-00002", 1000.0)
    assert after(progress, Window(200, 20, 10.0), Window(200, 20, 10.0)).percent == 25
