"""Colour, widths and plain tables: the look of what commands print.

Colour only repeats what a word says. `NO_COLOR` and `TERM=dumb` turn it off, `FORCE_COLOR` turns it on, and
without either it is on for a terminal.
"""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Sequence
from typing import TextIO

import click

Paint = Callable[[str], str]

COLOURS = {
    "ready": "green",
    "ok": "green",
    "succeeded": "green",
    "done": "green",
    "kept": "green",
    "cached": "green",
    "verified": "green",
    "start": "green",
    "failed": "red",
    "fail": "red",
    "error": "red",
    "stop": "red",
    "unhealthy": "red",
    "backoff": "yellow",
    "restart": "yellow",
    "skipped": "yellow",
    "warn": "yellow",
    "warning": "yellow",
    "interrupted": "yellow",
    "cancelled": "yellow",
    "hint": "cyan",
    "stopped": "bright_black",
    "keep": "bright_black",
}


def smart(stream: TextIO) -> bool:
    """Whether the stream is a terminal on which lines can be drawn again."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def coloured(stream: TextIO) -> bool:
    """Whether colour is wanted on a stream."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return smart(stream)


def paint(text: str, word: str, stream: TextIO | None = None, *, bold: bool = False) -> str:
    """The text in the colour of a word such as ``ready``; unchanged where colour is not wanted."""
    if not coloured(stream or sys.stdout):
        return text
    return click.style(text, fg=COLOURS.get(word), bold=bold or None)


def strong(text: str, stream: TextIO | None = None) -> str:
    """The text in bold, where that can be."""
    return click.style(text, bold=True) if coloured(stream or sys.stdout) else text


def faint(text: str, stream: TextIO | None = None) -> str:
    """The text dimmed, where that can be."""
    return click.style(text, dim=True) if coloured(stream or sys.stdout) else text


def out(text: str = "") -> None:
    """A line of data, to stdout."""
    click.echo(text, color=True)


def note(text: str = "") -> None:
    """A line about what happens, to stderr."""
    click.echo(text, err=True, color=True)


def hint(text: str) -> None:
    """What to do next, to stderr, after a blank line."""
    note()
    note(f"{paint('hint:', 'hint', sys.stderr)} {text}")


def warn(text: str) -> None:
    """Something that may go wrong, to stderr."""
    note(f"{paint('warning:', 'warning', sys.stderr)} {text}")


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def columns(
    rows: Sequence[Sequence[str]], *, heads: Sequence[str] = (), paints: dict[int, Paint] | None = None
) -> list[str]:
    """Rows as aligned lines; on a terminal the last column is cut so that a row stays one line.

    Args:
        rows: cells without colour.
        heads: the names of the columns.
        paints: by column, what colours a cell once it is aligned.
    """
    table = [list(row) for row in rows]
    if heads:
        shown = [index for index in range(len(heads)) if any(row[index] for row in table)]
        table = [[row[index] for index in shown] for row in table]
        paints = {shown.index(i): found for i, found in (paints or {}).items() if i in shown}
        table.insert(0, [heads[index] for index in shown])
    if not table or not table[0]:
        return []
    widths = [max(width(row[index]) for row in table) for index in range(len(table[0]))]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = []
    for number, row in enumerate(table):
        taken = 0
        cells = []
        for index, cell in enumerate(row):
            last = index == len(row) - 1
            # Half an address is none.
            if last and room is not None and "://" not in cell:
                cell = cut(cell, max(room - taken, 8))
            padding = "" if last else " " * (widths[index] - width(cell) + 2)
            taken += widths[index] + 2
            head = bool(heads) and number == 0
            painter = (paints or {}).get(index)
            cells.append((faint(cell) if head else painter(cell) if painter else cell) + padding)
        lines.append("".join(cells).rstrip())
    return lines


def cut(text: str, room: int) -> str:
    """The text, ended with … where it does not fit."""
    return text if width(text) <= room else text[: max(room - 1, 0)] + "…"


def plural(count: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "component"), plural(2, "component")
    ('1 component', '2 components')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def bytes_text(size: float) -> str:
    """A size as a person reads it.

    >>> bytes_text(1536), bytes_text(512), bytes_text(3 << 30)
    ('1.5 KiB', '512 B', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def seconds_text(seconds: float) -> str:
    """A duration as a person reads it.

    >>> seconds_text(0.42), seconds_text(75), seconds_text(3700), seconds_text(200000)
    ('0.4 s', '1 min 15 s', '1 h 1 min', '2 d 7 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
