"""What a run tells while it goes on, as JSON lines between the runner and whoever started it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from millpond.lake.reference import Reference

State = Literal["queued", "running", "retry", "done", "cached", "failed", "skipped", "cancelled"]


@dataclass(frozen=True)
class RunStarted:
    """First of all; every step is queued now. `steps` maps a name to its kind and the steps it needs."""

    run: str
    pipeline: str
    folder: str
    parameters: dict[str, Any]
    steps: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class RunWaits:
    """The run waits for another one that writes some of the same places."""

    run: str
    other: str


@dataclass(frozen=True)
class StepChanged:
    """A step began an attempt, is to be tried again, or is over (`over`).

    Attributes:
        seconds: how long it took, once it is over.
        outputs: port -> reference, once it is done or cached.
        error: ``message``, and where known ``hint, file, line, source, traceback``; for retry and failed.
        delay: seconds until the next attempt, for retry.
        from_run: the run whose result was taken, for cached.
    """

    step: str
    state: State
    attempt: int = 0
    seconds: float = 0.0
    outputs: dict[str, Reference] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    delay: float = 0.0
    from_run: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to the step."""
        return self.state not in ("queued", "running", "retry")


@dataclass(frozen=True)
class StepProgress:
    """How far a step says it is, from 0 to 1."""

    step: str
    fraction: float
    message: str = ""


@dataclass(frozen=True)
class StepLogged:
    """Text that a step printed or logged: one line or more."""

    step: str
    text: str


@dataclass(frozen=True)
class RunEnded:
    """Last of all. `results` are the values that the pipeline file asks to show; counts are by state."""

    run: str
    status: Literal["succeeded", "failed", "cancelled"]
    seconds: float
    results: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRefused:
    """The run did not start, or its engine broke; the error as `MillpondError.as_dict` gives it."""

    error: dict[str, Any]


Event = RunStarted | RunWaits | StepChanged | StepProgress | StepLogged | RunEnded | RunRefused
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (RunStarted, RunWaits, StepChanged, StepProgress, StepLogged, RunEnded, RunRefused)
}


def to_line(event: Event) -> str:
    """One line of JSON; `from_line` reads it back."""
    data = asdict(event)
    if isinstance(event, StepChanged):
        data["outputs"] = {port: reference.as_dict() for port, reference in event.outputs.items()}
    return json.dumps({"event": type(event).__name__, **data}, separators=(",", ":"))


def from_line(line: str) -> Event:
    """The event of a line.

    Raises:
        ValueError: the line is no event.
    """
    data = json.loads(line)
    if not isinstance(data, dict) or data.get("event") not in _KINDS:
        raise ValueError(f"not an event: {line[:200]}")
    kind = _KINDS[data.pop("event")]
    if kind is StepChanged:
        data["outputs"] = {port: Reference.from_dict(item) for port, item in data["outputs"].items()}
    event: Event = kind(**data)
    return event
