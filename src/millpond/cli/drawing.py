"""A block of lines on a terminal, one per thing that goes on, drawn again a few times a second.

However many events come, only the drawing costs; rich is imported when the first line is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millpond.cli.style import COLOURS, coloured, seconds_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_DRAWINGS = 8
_BAR = 20


@dataclass(frozen=True)
class Line:
    """One line.

    Args:
        name: what it is about.
        word: its state, which also gives the colour.
        seconds: how long it has been at it; None leaves the place empty.
        fraction: of a progress bar, from 0 to 1.
        text: what it does, in a few words.
    """

    name: str
    word: str
    seconds: float | None = None
    fraction: float | None = None
    text: str = ""


class Drawing:
    """Draws lines until it is closed; the last drawing stays.

    Args:
        lines: asked for the lines at each drawing, in a thread of its own.
        console: where to draw; stderr when left out.
    """

    def __init__(self, lines: Callable[[], Sequence[Line]], console: Console | None = None) -> None:
        self._lines = lines
        self._console = console
        self._live: Live | None = None

    def open(self) -> None:
        """Begin, if it has not begun."""
        if self._live is not None:
            return
        from rich.console import Console
        from rich.live import Live

        console = self._console or Console(stderr=True, highlight=False, no_color=not coloured(sys.stderr))
        self._live = Live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=_DRAWINGS,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def close(self) -> None:
        """Draw a last time."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        """The lines as rich draws them."""
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right", min_width=7)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for line in self._lines():
            colour = COLOURS.get(line.word, "bright_black" if line.word == "queued" else "blue")
            table.add_row(
                Text(line.name, style="bold"),
                Text(line.word, style=colour),
                Text("" if line.seconds is None else seconds_text(line.seconds), style="dim"),
                _doing(line),
            )
        return table


def _doing(line: Line) -> RenderableType:
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    text = Text(line.text, style="red" if line.word == "failed" else "dim", overflow="ellipsis", no_wrap=True)
    if line.fraction is None:
        return text
    bar = Table.grid(padding=(0, 1, 0, 0))
    bar.add_column(width=_BAR)
    bar.add_column(no_wrap=True, overflow="ellipsis")
    bar.add_row(ProgressBar(total=1.0, completed=line.fraction, width=_BAR), text)
    return bar
