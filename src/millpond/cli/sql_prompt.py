"""The prompt of `millpond sql`: queries over several lines, each ended by a semicolon."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

from millpond.cli.style import faint, note, paint


def converse(answer: Callable[[str], None]) -> None:
    """Read queries and have them answered, until Ctrl-D; a query that is wrong does not end it.

    Args:
        answer: carries a query out, and shows its rows.
    """
    from millpond.model.errors import MillpondError

    with suppress(ImportError):
        # Line editing and the history of this prompt come by the import itself.
        import readline  # noqa: F401
    note(
        faint(
            "end a query with ; and the prompt with Ctrl-D; SHOW ALL TABLES; lists what there is", sys.stderr
        )
    )
    while (query := _query()) is not None:
        try:
            answer(query)
        except MillpondError as error:
            note(f"{paint('error:', 'error', sys.stderr)} {error.message}")
            if error.hint:
                note(f"{paint('hint:', 'hint', sys.stderr)} {error.hint}")
        except KeyboardInterrupt:
            note("stopped")


def _query() -> str | None:
    read: list[str] = []
    while True:
        try:
            line = input("sql> " if not read else "...> ")
        except EOFError:
            note()
            return None
        except KeyboardInterrupt:
            note()
            read = []
            continue
        read.append(line)
        text = "\n".join(read).strip()
        if text.endswith(";"):
            return text.rstrip("; \n")
        if not text:
            read = []
