"""Runs an installer so that it can be stopped whole, and keeps its last words for the error.

The installer gets the file descriptor of the lock on what it makes. When Millpond is killed in the
middle, the lock stays held until the installer too is gone, so nobody else starts to write in the same
folder beside it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_KEPT_LINES = 40
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True)
class Finished:
    """How an installer ended: its status (negative: the signal that ended it) and its last lines."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last lines as one text, to look for known causes in."""
        return "\n".join(self.lines)

    def last(self, count: int = 12) -> tuple[str, ...]:
        """The lines worth showing."""
        return tuple(line for line in self.lines if line.strip())[-count:]


def without_credentials(line: str) -> str:
    """The line with the user and password of any URL in it taken out."""
    return _CREDENTIALS.sub(r"\1***@", line)


async def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    lock: int,
    said: Callable[[str], None] = lambda line: None,
    stdin: bytes | None = None,
) -> Finished:
    """Runs an installer to its end in a process group of its own.

    Args:
        lock: file descriptor that the installer inherits.
        said: called with each line that it prints, on stdout or stderr.

    Raises:
        asyncio.CancelledError: after the whole group was killed and reaped.
        OSError: it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, argv),
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(env),
        cwd=cwd,
        pass_fds=(lock,),
        umask=0o022,
        start_new_session=True,
        limit=1 << 20,
    )
    kept: deque[str] = deque(maxlen=_KEPT_LINES)
    try:
        if process.stdin is not None:
            with suppress(BrokenPipeError, ConnectionResetError):
                process.stdin.write(stdin or b"")
                await process.stdin.drain()
            process.stdin.close()
        assert process.stdout is not None
        async for raw in process.stdout:
            line = without_credentials(raw.decode("utf-8", "replace").rstrip())
            kept.append(line)
            said(line)
        status = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await _reaped(process)
    return Finished(status, tuple(kept))


async def _reaped(process: asyncio.subprocess.Process) -> None:
    """Waits for a killed process even if the waiting is cancelled again."""
    waiting = asyncio.ensure_future(process.wait())
    while not waiting.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(waiting)
