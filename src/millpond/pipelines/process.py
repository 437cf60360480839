"""Processes that steps start: what they print is the step's log, and they end when the step has to."""

from __future__ import annotations

import codecs
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from millpond.model.errors import MillpondError


def execute(argv: Sequence[str], folder: Path, environment: Mapping[str, str], what: str = "command") -> None:
    """Run a program to its end; what it prints goes to the step's log.

    Args:
        what: the program in messages, such as ``script``.

    Raises:
        MillpondError: it cannot be started, or its exit code is not 0.
    """
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise MillpondError(f"{argv[0]} cannot be started: {error.strerror or error}") from None
    try:
        follow(process)
    finally:
        stop(process)
    if process.returncode:
        code = process.returncode
        how = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
        raise MillpondError(f"the {what} failed: {how}", hint=f"it was: {shlex.join(argv)[:300]}")


def follow(process: subprocess.Popen[bytes], look: Callable[[], None] = lambda: None) -> None:
    """Print what the program prints until it is over.

    It is polled, so that a step's timeout can break in at any time, and so can `look`, which is called often.
    """
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        readable = select.select([process.stdout], [], [], 0.1)[0]
        data = os.read(process.stdout.fileno(), 1 << 16) if readable else b""
        if data:
            print(decoder.decode(data), end="", flush=True)  # noqa: T201
        elif process.poll() is not None:
            return
        elif readable:  # closed its output and lives on
            time.sleep(0.02)
        look()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started, if it is still there."""
    if process.poll() is None:
        _end(process)
    if process.stdout is not None:
        process.stdout.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, wait in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(wait)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
