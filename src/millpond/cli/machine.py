"""What this machine has: memory, disk, and whether it is enough for a platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.cli.style import bytes_text

if TYPE_CHECKING:
    from millpond.model.platform import Platform
    from millpond.targets.local.target import LocalTarget

ENOUGH_DISK = 3 << 30


def available_memory() -> int | None:
    """Bytes that new processes can take, None where the system does not tell.

    Inside a container its limit counts, as far as cgroup v2 or v1 tells it.
    """
    found = [size for size in (_meminfo(), _cgroup()) if size is not None]
    if found:
        return min(found)
    return _macos_memory() if sys.platform == "darwin" else None


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}
    return sizes.get("MemAvailable")


def _cgroup() -> int | None:
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ):
        try:
            most = Path(limit).read_text().strip()
            if most != "max" and int(most) < 1 << 60:
                # What is cached counts as used there but can be had; half of the limit always can.
                return max(int(most) - int(Path(used).read_text()), int(most) // 2)
        except (OSError, ValueError):
            continue
    return None


def _macos_memory() -> int | None:
    """Free, inactive and speculative pages, as `vm_stat` counts them. Not run on macOS yet."""
    try:
        answer = subprocess.run(["vm_stat"], capture_output=True, text=True, timeout=5, check=True).stdout
        size = int(answer.splitlines()[0].split("page size of ")[1].split()[0])
        pages = {
            line.split(":")[0]: int(line.split(":")[1].strip(" ."))
            for line in answer.splitlines()[1:]
            if ":" in line
        }
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return None
    return size * sum(pages.get(f"Pages {kind}", 0) for kind in ("free", "inactive", "speculative"))


def free_disk(path: Path) -> int:
    """Bytes that are free where `path` is or will be."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def needed_memory(platform: Platform) -> int:
    """The sum of what the components say they need."""
    return sum(node.component.service.resources.memory_bytes for node in platform.nodes.values())


def shortages(target: LocalTarget) -> list[str]:
    """What this machine has too little of, in sentences; what runs already is not counted again."""
    from millpond.targets.local.installs import default_root

    running = {found.name for found in target.status() if found.state == "ready"}
    wanted = sum(
        node.component.service.resources.memory_bytes
        for name, node in target.platform.nodes.items()
        if name not in running
    )
    found = []
    memory = available_memory()
    if memory is not None and wanted > memory:
        found.append(
            f"{target.platform.name} wants {bytes_text(wanted)} of memory, {bytes_text(memory)} is available"
        )
    for what, path in (("cache", default_root()), ("project", target.workspace.project)):
        free = free_disk(path)
        if free < ENOUGH_DISK and len(running) < len(target.platform.nodes):
            found.append(
                f"only {bytes_text(free)} of disk is free for the {what} ({path}); 3 GiB is a good start"
            )
    return found
