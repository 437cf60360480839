"""A process that has grown too large ends by itself, its requests answered, before the system ends another.

The supervisor starts it again; a model that leaks costs its own revision a restart and nobody else anything.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

_SECONDS = 1.0
_STATM = Path("/proc/self/statm")


def resident() -> int:
    """The process's resident memory in bytes; its peak, where the system tells no more."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def watch(limit: int, above: Callable[[int], None]) -> None:
    """Call `above` with the bytes in use, once, when they are more than `limit`."""
    while True:
        await asyncio.sleep(_SECONDS)
        used = resident()
        if used > limit:
            above(used)
            return
