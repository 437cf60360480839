"""A lock between processes on one thing in the store.

``flock`` belongs to the open file, so the kernel gives it back whichever way its holders die, and a child
that inherited the descriptor holds it as long as it lives.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from millpond.targets.local.installs.places import open_folder

_FIRST_WAIT = 0.01
_LONGEST_WAIT = 0.2


@asynccontextmanager
async def claim(path: Path, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[int]:
    """Holds the lock named by a file; yields its descriptor, which children may inherit.

    Args:
        waiting: called once if another holder is in the way.
    """
    open_folder(path.parent)
    pause = _FIRST_WAIT
    told = False
    while (descriptor := try_claim(path)) is None:
        if not told:
            told = True
            waiting()
        # Polled rather than waited for in a thread, which no cancellation could end.
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_WAIT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def try_claim(path: Path, *, shared: bool = False) -> int | None:
    """The descriptor of the lock, or None when somebody else holds it.

    Raises:
        OSError: the lock file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        # Whoever removes an install removes its lock file too: a lock on a removed file excludes nobody.
        try:
            if path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)
