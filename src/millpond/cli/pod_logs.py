"""What pods write, as it comes from the cluster."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from millpond.cli.style import faint, note, out

if TYPE_CHECKING:
    from millpond.targets.kubernetes.target import KubernetesTarget


def show(target: KubernetesTarget, name: str, *, lines: int, follow: bool) -> None:
    """Print the logs of a component's pods; each line begins with its pod where there are several.

    Args:
        target: the platform.
        name: a component, or one of its processes (``dask/worker``).
        lines: how many from the end.
        follow: go on until interrupted.
    """
    several: set[str] = set()

    async def read() -> None:
        async for label, line in target.logs(name, lines=lines, follow=follow):
            several.add(label)
            out(f"{faint(f'{label} │', sys.stdout)} {line}" if "/" in label else line)
            if follow:
                sys.stdout.flush()

    try:
        asyncio.run(read())
    except KeyboardInterrupt:
        note()
        return
    if not several:
        note(f"{name} has not written anything")
