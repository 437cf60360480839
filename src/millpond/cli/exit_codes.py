"""The exit codes of every command, in the one place that documents them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; `meaning` is what ``millpond help exit-codes`` prints."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """A code with its meaning."""
        found = int.__new__(cls, value)
        found._value_ = value
        found.meaning = meaning
        return found

    OK = 0, "Done"
    FAILED = 1, "Something went wrong; the message says what, and what to do about it"
    USAGE = 2, "The command was called in a way that it cannot be"
    DOCUMENT = 3, "A file is wrong or missing; the message names file, line and column"
    NOT_READY = 4, "Not every component came up; those that did stay up"
    BUSY = 5, "Another command is changing this platform"
    BUG = 70, "A mistake in Millpond itself; the message names the file with the traceback"
    INTERRUPTED = 130, "Ctrl-C; what was begun is tidied up"


def table() -> str:
    """All codes with their meaning, one per line."""
    return "\n".join(f"{code.value:>4}  {code.meaning}" for code in ExitCode)
