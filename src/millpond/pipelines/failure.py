"""How a step's failure is told: the exception, the user's own frames, and the line that raised it."""

from __future__ import annotations

import linecache
import traceback
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError


class StepTimedOut(BaseException):
    """Raised inside a step that used up its time; no ``except Exception`` swallows it."""


class StepCancelled(BaseException):
    """Raised inside a step whose run was stopped."""


def describe(error: BaseException, code: Path | None) -> dict[str, Any]:
    """An error as the record keeps it.

    Args:
        error: what was raised.
        code: the folder that the pipeline's code was unpacked in; its frames come first, by short names.

    Returns:
        ``type``, ``message``, and where known ``hint``, ``file``, ``line``, ``source``, ``traceback``.
    """
    found: dict[str, Any] = {"type": type(error).__name__, "message": str(error) or type(error).__name__}
    if isinstance(error, MillpondError):
        found |= {"message": error.message, "hint": error.hint, "details": list(error.details)}
    frames = _frames(error, code)
    own = [frame for frame in frames if code is not None and _inside(frame.filename, code)]
    if own and code is not None:
        last = own[-1]
        found |= {
            "file": _short(last.filename, code),
            "line": last.lineno,
            "source": linecache.getline(last.filename, last.lineno or 0).strip(),
        }
    if not isinstance(error, MillpondError):
        shown = frames[frames.index(own[0]) :] if own else frames[-3:]
        lines = traceback.format_list(shown)
        lines += traceback.format_exception_only(error)
        text = "".join(lines)
        found["traceback"] = text.replace(f"{code}/", "") if code is not None else text
    return {name: value for name, value in found.items() if value not in (None, [], "")}


def _frames(error: BaseException, code: Path | None) -> list[traceback.FrameSummary]:
    frames = list(traceback.extract_tb(error.__traceback__))
    if (
        isinstance(error, SyntaxError)
        and error.filename
        and code is not None
        and _inside(error.filename, code)
    ):
        frames.append(traceback.FrameSummary(error.filename, error.lineno or 1, "<module>"))
    return frames


def _inside(file: str, folder: Path) -> bool:
    return file.startswith(f"{folder}/")


def _short(file: str, folder: Path) -> str:
    return Path(file).relative_to(folder).as_posix()
