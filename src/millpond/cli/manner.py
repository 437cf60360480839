"""How a command changes deployments: whether it waits or only prints; and how it reads what it is given."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

STDIN = "standard input"


@dataclass(frozen=True)
class Manner:
    """How a change is made.

    Args:
        wait: seconds until it has to have taken effect; None does not wait.
        dry_run: print the document, and change nothing.
    """

    wait: float | None
    dry_run: bool = False


def manner_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--wait``, ``--timeout`` and ``--dry-run``, handed on as the argument `manner`."""

    @wraps(function)
    def handed(*args: Any, wait: bool, timeout: float, dry_run: bool, **rest: Any) -> Any:
        return function(*args, manner=Manner(timeout if wait else None, dry_run), **rest)

    options = (
        click.option(
            "--wait/--no-wait",
            default=True,
            show_default=True,
            help="Return when it has taken effect, or at once",
        ),
        click.option(
            "--timeout",
            type=click.FloatRange(min=0),
            default=300.0,
            show_default=True,
            metavar="SECONDS",
            help="How long to wait",
        ),
        click.option("--dry-run", is_flag=True, help="Print what would be applied, change nothing"),
    )
    found: Callable[..., Any] = handed
    for option in reversed(options):
        found = option(found)
    return found


def text_of(folder: Path, name: str) -> tuple[str, str]:
    """A file's text and its name for messages; ``-`` is standard input.

    Args:
        folder: what a relative path starts from.
        name: the file.

    Raises:
        MillpondError: it cannot be read.
    """
    from millpond.cli.exit_codes import ExitCode
    from millpond.model.errors import MillpondError

    if name == "-":
        return sys.stdin.read(), STDIN
    path = folder / Path(name).expanduser()
    try:
        # A byte order mark is what spreadsheets put in front of a table.
        return path.read_text(encoding="utf-8-sig"), name
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise MillpondError(f"cannot read {name}: {reason}", exit_code=ExitCode.DOCUMENT) from None
