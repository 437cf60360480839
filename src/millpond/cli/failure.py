"""Errors as people and scripts read them: what happened, its last lines, where, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from pathlib import Path

from millpond.cli.exit_codes import ExitCode
from millpond.cli.style import hint, note, paint, smart
from millpond.model.errors import DocumentError, DocumentErrors, MillpondError, Place


def show(error: MillpondError, *, as_json: bool = False) -> int:
    """Print an error to stderr and return the exit code that goes with it."""
    if as_json:
        note(json.dumps(error.as_dict()))
    elif isinstance(error, DocumentErrors) and len(error.errors) > 1:
        source = _short(error.place.source)
        note(f"{_mark()} {len(error.errors)} mistakes in {source}")
        for one in error.errors:
            note(f"{_place(one.place)}: {one.reason}" + (f" ({one.hint})" if one.hint else ""))
            _point(one.place)
    elif isinstance(error, DocumentError):
        one = error.errors[0] if isinstance(error, DocumentErrors) else error
        note(f"{_mark()} {_place(one.place)}: {one.reason}")
        _point(one.place)
        if one.hint:
            hint(one.hint)
    else:
        note(f"{_mark()} {error.message}")
        for line in error.details:
            note(f"  {line}")
        if error.hint:
            hint(error.hint)
    return error.exit_code


def crash(error: BaseException, folder: Path, *, as_json: bool = False) -> int:
    """Tell of a mistake in Millpond itself: one sentence, and where the traceback is."""
    text = "".join(traceback.format_exception(error))
    reason = " ".join(str(error).split())[:200]
    message = f"Millpond made a mistake: {type(error).__name__}" + (f": {reason}" if reason else "")
    where = None
    if os.environ.get("MILLPOND_DEBUG"):
        note(text.rstrip())
    else:
        where = _write_crash(text, folder)
        if where is None:
            note(text.rstrip())
    advice = (
        f"the traceback is in {where}; please report it" if where else "please report it with the lines above"
    )
    show(MillpondError(message, hint=advice, exit_code=ExitCode.BUG), as_json=as_json)
    return ExitCode.BUG


def _write_crash(text: str, folder: Path) -> Path | None:
    """Beside the platform's logs where there is a platform, else nowhere."""
    root = next(
        (base / ".millpond" for base in (folder, *folder.parents) if (base / ".millpond").is_dir()), None
    )
    if root is None:
        return None
    path = root / "logs" / f"crash-{time.strftime('%Y%m%d-%H%M%S')}.log"
    try:
        path.parent.mkdir(exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return None
    return path


def _mark() -> str:
    return paint("error:", "error", sys.stderr, bold=True)


def _short(source: str) -> str:
    """A path as seen from here, where that is shorter."""
    try:
        near = os.path.relpath(source)
    except ValueError:
        return source
    return near if len(near) < len(source) else source


def _place(place: Place) -> str:
    return f"{_short(place.source)}:{place.line}:{place.column}"


def _point(place: Place) -> None:
    """The line of the file with a caret under the place; only where a person reads."""
    if not smart(sys.stderr):
        return
    try:
        line = Path(place.source).read_text(encoding="utf-8").splitlines()[place.line - 1]
    except (OSError, UnicodeDecodeError, IndexError):
        return
    number = f"{place.line:>5} | "
    before = "".join(char if char == "\t" else " " for char in line[: place.column - 1])
    note(f"{number}{line}")
    note(f"{' ' * (len(number) - 2)}| {before}{paint('^', 'error', sys.stderr)}")
