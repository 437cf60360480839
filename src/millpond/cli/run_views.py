"""The views of a pipeline run: live on a terminal, plain lines elsewhere, JSON lines for scripts."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from millpond.cli.drawing import Drawing, Line
from millpond.cli.style import faint, note, out, paint, seconds_text, smart
from millpond.pipelines.events import (
    Event,
    RunEnded,
    RunRefused,
    RunStarted,
    RunWaits,
    StepChanged,
    StepLogged,
    StepProgress,
    to_line,
)

if TYPE_CHECKING:
    from rich.console import Console


_LEVEL = re.compile(r"^(?:DEBUG|INFO) \S+: ")
"""What logging puts before a message that is no warning."""


@dataclass
class StepRow:
    """One step: where it is, and the last that it said."""

    name: str
    state: str = "queued"
    begun: float | None = None
    seconds: float | None = None
    fraction: float | None = None
    text: str = ""
    error: dict[str, object] | None = None
    log: list[str] = field(default_factory=list)


class RunView:
    """Takes the events of a run and keeps what is worth showing of each step.

    Attributes:
        clock: the time of day in seconds since the epoch; another one for a recording.
    """

    def __init__(self) -> None:
        self.clock: Callable[[], float] = time.time
        self.rows: dict[str, StepRow] = {}
        self.ended: RunEnded | None = None
        self.refused: RunRefused | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the drawing."""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case RunStarted():
                self.rows = {name: StepRow(name) for name in event.steps}
            case StepChanged():
                self._change(self._row(event.step), event)
            case StepProgress():
                row = self._row(event.step)
                row.fraction, row.text = event.fraction, event.message or row.text
            case StepLogged():
                row = self._row(event.step)
                lines = [line for line in event.text.splitlines() if line.strip()]
                row.log = [*row.log, *lines][-20:]
                row.text = _LEVEL.sub("", lines[-1].strip()) if lines else row.text
            case RunWaits():
                self.waits(f"it waits for the run {event.other}, which writes the same paths")
            case RunEnded():
                self.ended = event
            case RunRefused():
                self.refused = event

    def waits(self, text: str) -> None:
        """Tell that the run waits for another one."""
        note(text)

    def _row(self, name: str) -> StepRow:
        return self.rows.setdefault(name, StepRow(name))

    def _change(self, row: StepRow, event: StepChanged) -> None:
        row.state = event.state
        if event.state == "running":
            row.begun, row.seconds = self.clock(), None
        if event.over:
            row.seconds, row.fraction, row.text = event.seconds, None, ""
        if event.error is not None:
            row.error = event.error
            row.text = str(event.error.get("message", ""))
        if event.state == "retry":
            row.text = f"again in {seconds_text(event.delay)}: {row.text}"
        elif event.state == "cached" and event.from_run:
            row.text = f"from {event.from_run}"


class JsonRunView(RunView):
    """One JSON object per event, on stdout."""

    def waits(self, text: str) -> None:
        """The event itself says it."""

    def __call__(self, event: Event) -> None:
        """Print the event."""
        super().__call__(event)
        out(to_line(event))
        sys.stdout.flush()


class PlainRunView(RunView):
    """One line per change of a step; with `logs` also what the steps print."""

    def __init__(self, *, logs: bool) -> None:
        super().__init__()
        self._logs = logs

    def __call__(self, event: Event) -> None:
        """Print a line where there is news."""
        super().__call__(event)
        width = max((len(name) for name in self.rows), default=0)
        if isinstance(event, StepChanged) and event.state != "queued":
            row = self.rows[event.step]
            took = seconds_text(event.seconds) if event.over and event.seconds else ""
            word = paint(f"{event.state:<9}", event.state, sys.stderr)
            note(f"{event.step:<{width}}  {word}  {took:>7}  {row.text}".rstrip())
        elif isinstance(event, StepLogged) and self._logs:
            for line in event.text.splitlines():
                note(f"{event.step:<{width}}  {faint(f'│ {line}', sys.stderr)}")


class LiveRunView(RunView):
    """One line per step, drawn again a few times a second.

    Args:
        console: where to draw; stderr when left out.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.drawing = Drawing(self.lines, console)

    def __call__(self, event: Event) -> None:
        """Take the event; the next drawing shows it."""
        super().__call__(event)
        self.drawing.open()

    def close(self) -> None:
        """Draw a last time, and leave that."""
        self.drawing.close()

    def lines(self) -> list[Line]:
        """What is drawn."""
        now = self.clock()
        found = []
        for row in list(self.rows.values()):
            seconds = row.seconds
            if row.state == "running" and row.begun is not None:
                seconds = now - row.begun
            found.append(Line(row.name, row.state, seconds, row.fraction, row.text))
        return found


def run_view(*, as_json: bool, logs: bool) -> RunView:
    """The view that fits where the output goes; with `logs`, plain lines also on a terminal."""
    if as_json:
        return JsonRunView()
    return LiveRunView() if smart(sys.stderr) and not logs else PlainRunView(logs=logs)
