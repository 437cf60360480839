"""An automatic rollout, judged: whether the newest revision may have more of the traffic. Pure: no I/O.

Each step lasts its interval, and until the revision has given enough answers to be judged by. Then three
things are held against the revision beside it, both measured over the same step: the share of failed
answers, the 99th percentile of the latency, and the distance between their outputs. All good: the next
step, and after the last one the revision is rolled out. Anything bad: the step is held and judged again
after another interval, until it was bad too often in a row; then the traffic goes back.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from millpond.serving.annotations import Rollout

Phase = Literal["progressing", "held", "promoted", "returned"]


@dataclass
class Progress:
    """How far a rollout is.

    Args:
        revision: the one that is rolled out.
        percent: what it has now.
        step: which of the steps that is.
        since: when the step began, or was last judged, in seconds since 1970.
        began: when the rollout began.
        phase: ``held`` while the last judgement was bad or could not be made.
        failures: bad judgements in a row.
        reason: the last judgement in words.
    """

    revision: str
    percent: int
    since: float
    began: float
    step: int = 0
    phase: Phase = "progressing"
    failures: int = 0
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more happens."""
        return self.phase in ("promoted", "returned")

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)


@dataclass(frozen=True)
class Window:
    """What a revision did within a step: answers, failed ones, p99 in milliseconds."""

    requests: int
    errors: int
    p99: float | None

    @property
    def failed(self) -> float:
        """The share of failed answers, 0 to 1."""
        return self.errors / self.requests if self.requests else 0.0


def begin(rollout: Rollout, revision: str, now: float) -> Progress:
    """A rollout at its first step."""
    return Progress(revision, rollout.steps[0], since=now, began=now)


def judge(
    rollout: Rollout,
    progress: Progress,
    now: float,
    newest: Window | None,
    other: Window | None,
    distance: float | None,
) -> Progress:
    """The rollout after its step was looked at; the same object when it is too early.

    Args:
        rollout: what was asked for.
        progress: how far it is.
        now: seconds since 1970.
        newest, other: what both revisions did since `progress.since`; None when that is not known.
        distance: between their outputs, 0 to 1; None when not known.
    """
    if progress.over or now - progress.since < rollout.interval:
        return progress
    if newest is None or other is None:
        return _held(progress, "what the revisions did is not known: the monitor does not answer")
    if newest.requests < rollout.requests:
        return _held(progress, f"{newest.requests} of {rollout.requests} answers that it is judged by")
    bad = _faults(rollout, newest, other, distance)
    if bad:
        failures = progress.failures + 1
        if failures >= rollout.failures:
            return Progress(
                progress.revision, 0, now, progress.began, progress.step, "returned", failures, "; ".join(bad)
            )
        held = _held(progress, "; ".join(bad))
        held.failures, held.since = failures, now
        return held
    step = progress.step + 1
    said = f"good at {progress.percent} %"
    if step >= len(rollout.steps) or rollout.steps[step] == 100:
        return Progress(progress.revision, 100, now, progress.began, step, "promoted", 0, said)
    return Progress(progress.revision, rollout.steps[step], now, progress.began, step, "progressing", 0, said)


def _held(progress: Progress, reason: str) -> Progress:
    return Progress(
        progress.revision,
        progress.percent,
        progress.since,
        progress.began,
        progress.step,
        "held",
        progress.failures,
        reason,
    )


def _faults(rollout: Rollout, newest: Window, other: Window, distance: float | None) -> list[str]:
    bad = []
    if newest.failed > other.failed + rollout.errors:
        bad.append(f"{newest.failed:.1%} of its answers failed, {other.failed:.1%} of the other's")
    if newest.p99 is not None and other.p99 and newest.p99 > rollout.latency * other.p99:
        ratio = newest.p99 / other.p99
        bad.append(
            f"its p99 of {newest.p99:.1f} ms is {ratio:.1f} times the other's, {rollout.latency:g} allowed"
        )
    if distance is not None and distance > rollout.distance:
        bad.append(f"its outputs are {distance:.2f} away from the other's, {rollout.distance:g} allowed")
    return bad
