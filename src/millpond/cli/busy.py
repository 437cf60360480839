"""A line that says what a command waits for, once that takes longer than a moment."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from millpond.cli.style import cut, note, smart

_PATIENCE = 0.6
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@contextmanager
def busy(what: str, detail: Callable[[], str] | None = None) -> Iterator[None]:
    """Show that something goes on: on a terminal by a line that is drawn again, else by one plain line.

    Args:
        what: what goes on (``stopping``).
        detail: asked now and then for more (``mlflow, postgres``); called in a thread of its own.
    """
    done = threading.Event()
    drawer = threading.Thread(target=_draw, args=(what, detail, done), daemon=True)
    drawer.start()
    try:
        yield
    finally:
        done.set()
        drawer.join(2)


def _draw(what: str, detail: Callable[[], str] | None, done: threading.Event) -> None:
    begun = time.monotonic()
    if done.wait(_PATIENCE):
        return
    if not smart(sys.stderr):
        note(_text(what, detail))
        return
    import shutil

    number = 0
    text = _text(what, detail)
    while True:
        frame = _FRAMES[number % len(_FRAMES)]
        line = cut(
            f"{frame} {text}  {time.monotonic() - begun:.0f} s", shutil.get_terminal_size().columns - 1
        )
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
        if done.wait(0.1):
            break
        number += 1
        if number % 5 == 0:
            text = _text(what, detail)
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def _text(what: str, detail: Callable[[], str] | None) -> str:
    more = ""
    if detail is not None:
        with suppress(Exception):
            more = detail()
    return f"{what} {more}".rstrip()
