"""A folder's lock: of several processes that compare and replace files in it, one at a time."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millpond.model.errors import MillpondError

LOCK = ".writing-lock"
"""The file that is held; like all with this beginning it is in no listing."""
_PATIENCE = 60.0


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, made where it is missing. It goes with the process, however that ends.

    Raises:
        MillpondError: another process holds it for a minute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("ab") as file:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise MillpondError(f"{folder} is held by another process") from None
                time.sleep(0.002)
        yield
