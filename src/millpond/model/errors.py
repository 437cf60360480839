"""The one tree of errors that Millpond raises on purpose.

Every error says what happened and to which part, and carries a hint that says what to do about it.
The command line prints both; nothing else has to know how.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, order=True)
class Place:
    """Where in a file something stands; line and column count from 1, as editors do."""

    source: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


class MillpondError(Exception):
    """What happened, and what to do about it.

    Args:
        message: one sentence without a trailing period; names the component it happened to.
        hint: what the user can do, as a sentence or a command.
        details: more lines worth showing, such as the last lines of a log.
        exit_code: of the command, where it is another than the class's.
    """

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        details: Iterable[str] = (),
        exit_code: int | None = None,
    ) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def as_dict(self) -> dict[str, object]:
        """The error as ``--json`` prints it."""
        found: dict[str, object] = {"error": type(self).__name__, "message": self.message}
        if self.hint:
            found["hint"] = self.hint
        if self.details:
            found["details"] = list(self.details)
        return found


class NotReadyError(MillpondError):
    """Not every component came up; the events have told why."""

    exit_code = 4


class UsageError(MillpondError):
    """The command was called in a way that it cannot be."""

    exit_code = 2


class DocumentError(MillpondError):
    """A file that a person wrote is wrong at a known place."""

    exit_code = 3

    def __init__(self, place: Place, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"{place}: {message}", hint=hint)
        self.place = place
        self.reason = message

    def as_dict(self) -> dict[str, object]:
        """The error as ``--json`` prints it, its place apart."""
        return {
            **super().as_dict(),
            "message": self.reason,
            "source": self.place.source,
            "line": self.place.line,
            "column": self.place.column,
        }


class DocumentErrors(DocumentError):  # noqa: N818 - several of them, not one
    """Several mistakes in one file, told at once so that one edit mends all."""

    def __init__(self, errors: list[DocumentError]) -> None:
        first = errors[0]
        super().__init__(first.place, first.reason, hint=first.hint)
        self.errors = errors

    def as_dict(self) -> dict[str, object]:
        """All mistakes, each with its place."""
        return {"error": "DocumentError", "errors": [error.as_dict() for error in self.errors]}


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the closest of the known words, or lists them when none is close.

    >>> did_you_mean("mlfow", ["mlflow", "dask"])
    'did you mean mlflow?'
    """
    words = sorted(set(known))
    close = get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(words)}" if words else None
