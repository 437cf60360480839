"""The entry point: parses, runs, and turns whatever goes wrong into a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from millpond.cli.exit_codes import ExitCode
from millpond.cli.root import root
from millpond.cli.session import Session
from millpond.cli.style import hint, note, paint


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    session = Session(Path.cwd()) if _has_folder() else Session(Path("/"))
    session.arguments = list(arguments)
    try:
        code = root.main(args=list(arguments), prog_name="millpond", standalone_mode=False, obj=session)
    except click.ClickException as error:
        return _usage(error)
    except (click.Abort, KeyboardInterrupt):
        note("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, as `head` does; Python's own last flush would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        return _failed(error, session)
    # click hands on the code of `Context.exit`, and what a command returns, which is None.
    return code if isinstance(code, int) else ExitCode.OK


def _failed(error: Exception, session: Session) -> int:
    from millpond.cli import failure
    from millpond.model.errors import MillpondError

    if isinstance(error, MillpondError):
        return failure.show(error, as_json=session.json)
    return failure.crash(error, session.folder, as_json=session.json)


def _has_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _usage(error: click.ClickException) -> int:
    message = error.format_message().rstrip(".")
    note(f"{paint('error:', 'error', sys.stderr, bold=True)} {message[:1].lower()}{message[1:]}")
    context = getattr(error, "ctx", None)
    if context is not None:
        hint(getattr(error, "hint", None) or f"`{context.command_path} --help` tells what it takes")
    return ExitCode.USAGE if isinstance(error, click.UsageError) else error.exit_code
