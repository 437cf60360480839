"""The views of `up`: live on a terminal, plain lines elsewhere, JSON lines for scripts.

Each is told every `ComponentEvent` and keeps what it needs in a `Board`; the live one draws a few times a
second however many events come.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from millpond.cli.board import Board
from millpond.cli.drawing import Drawing, Line
from millpond.cli.style import faint, note, out, paint, seconds_text, smart
from millpond.model.events import ComponentEvent, Phase

if TYPE_CHECKING:
    from rich.console import Console

_INSTALL_PAUSE = 5.0


class View:
    """Takes events; a context manager, so that a drawing is always ended.

    Attributes:
        clock: the time of day in seconds since the epoch; another one for a recording.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.board = Board(names)
        self.clock: Callable[[], float] = time.time

    def __call__(self, event: ComponentEvent) -> None:
        """Take one event."""
        self.board.take(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the drawing."""


class JsonView(View):
    """One JSON object per event, on stdout."""

    def __call__(self, event: ComponentEvent) -> None:
        """Print the event."""
        super().__call__(event)
        out(json.dumps(event.as_dict()))
        sys.stdout.flush()


class PlainView(View):
    """One line per phase that a component enters; installs speak up every few seconds."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__(names)
        self._told: dict[str, tuple[Phase, str]] = {}
        self._last: dict[str, float] = {}

    def __call__(self, event: ComponentEvent) -> None:
        """Print a line where there is news."""
        row = self.board.take(event)
        # What an install counts changes many times a second; that it installs is the news.
        said = (event.phase, "" if event.phase is Phase.INSTALLING else event.message)
        now = time.monotonic()
        known = self._told.get(event.component) == said
        pause = _INSTALL_PAUSE if event.phase is Phase.INSTALLING else float("inf")
        if known and now - self._last[event.component] < pause:
            return
        self._told[event.component] = said
        self._last[event.component] = now
        name = max((len(found) for found in self.board.rows), default=0)
        word = paint(f"{event.phase:<12}", event.phase, sys.stderr)
        took = f"after {seconds_text(event.seconds)}" if event.seconds is not None else ""
        note(f"{event.component:<{name}}  {word}  {' '.join(filter(None, (row.describe(), took)))}".rstrip())


class LiveView(View):
    """One line per component, drawn again a few times a second.

    Args:
        names: the components in the order of their lines.
        console: where to draw; stderr when left out.
    """

    def __init__(self, names: Iterable[str] = (), console: Console | None = None) -> None:
        super().__init__(names)
        self.drawing = Drawing(self.lines, console)

    def __call__(self, event: ComponentEvent) -> None:
        """Take the event; the next drawing shows it."""
        super().__call__(event)
        self.drawing.open()

    def close(self) -> None:
        """Draw a last time, and leave that."""
        self.drawing.close()

    def lines(self) -> list[Line]:
        """What is drawn."""
        return [
            Line(
                row.name,
                row.word,
                row.seconds(self.clock()),
                row.fraction,
                row.describe(),
            )
            for row in list(self.board.rows.values())
        ]


def view_for(names: Iterable[str], *, as_json: bool) -> View:
    """The view that fits where the output goes."""
    if as_json:
        return JsonView(names)
    return LiveView(names) if smart(sys.stderr) else PlainView(names)


def tell_failures(view: View) -> None:
    """What went wrong with each component, with the last lines of its log and what to do."""
    for event in view.board.failures:
        note()
        note(f"{paint('error:', 'error', sys.stderr, bold=True)} {event.message or event.component}")
        for line in event.details:
            note(f"  {faint(line, sys.stderr)}")
        if event.hint:
            note(f"{paint('hint:', 'hint', sys.stderr)} {event.hint}")
