"""Who holds a port: for the one message that everybody gets to see sooner or later."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from millpond.targets.local.supervisor.processes import LINUX

_LISTEN = "0A"


def holder(port: int) -> tuple[int, str] | None:
    """Process id and name of the process that listens on a TCP port of this machine.

    None if there is none, or if it belongs to another user and the system does not tell.
    """
    if LINUX:
        return _holder_by_proc(port)
    return _holder_by_lsof(port)


def listeners(port: int) -> str | None:
    """The same as words: ``4711 (postgres)``."""
    found = holder(port)
    return f"{found[0]} ({found[1]})" if found else None


def _holder_by_proc(port: int) -> tuple[int, str] | None:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as file:  # noqa: PTH123
            for line in file:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in os.scandir(f"/proc/{entry}/fd"):
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor.path) in inodes:  # noqa: PTH115
                        return int(entry), Path(f"/proc/{entry}/comm").read_text().strip()
    return None


def _holder_by_lsof(port: int) -> tuple[int, str] | None:
    lsof = shutil.which("lsof") or shutil.which("lsof", path="/usr/sbin:/usr/bin:/sbin")
    if lsof is None:
        return None
    asked = subprocess.run(
        [lsof, "-nP", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fpc"], capture_output=True, text=True, check=False
    )
    found = re.search(r"^p(\d+)$(?:\n(?!p).*)*?\nc(.+)$", asked.stdout, re.MULTILINE)
    return (int(found[1]), found[2]) if found else None
