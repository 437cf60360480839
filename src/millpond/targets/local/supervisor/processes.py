"""Processes told apart, found and ended, with what Linux and macOS offer.

A process id alone says nothing after its process has ended, because the system gives it out again. So a
process is known here by its id and its start time. The guardian uses this module too, which is why it
imports next to nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

MARK = "MILLPOND_SUPERVISED"
"""Environment variable by which descendants in other sessions are found: ``<service>@<run directory>``."""

LINUX = sys.platform.startswith("linux")


class Leader(NamedTuple):
    """The first process of a service, which leads a session and a process group of the same number."""

    name: str
    pid: int
    started: str
    stop_signal: int


def boot_id() -> str:
    """Tells one run of this machine from another, or empty where that cannot be found out."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
        return file.read().strip()
    return ""


def started(pid: int) -> str | None:
    """The start time of a living process in whatever form the system gives it; None if there is none.

    A zombie counts as gone: it holds nothing but its number.
    """
    if LINUX:
        fields = _stat(pid)
        return None if fields is None or fields[0] in ("Z", "X") else fields[19]
    return _started_by_ps(pid)


def group_alive(leader: Leader) -> bool:
    """Whether any process of the leader's group is left, as far as it is still that leader's group."""
    now = started(leader.pid)
    if now is not None:
        return not leader.started or now == leader.started
    try:
        os.killpg(leader.pid, 0)
    except (ProcessLookupError, PermissionError):
        # macOS answers "not permitted" for a group of zombies.
        return False
    return not LINUX or any(_group_members(leader.pid))


def signal_group(leader: Leader, number: int) -> None:
    """Send a signal to the leader's whole group, unless its number has gone to somebody else."""
    if _still_ours(leader):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(leader.pid, number)


def marked(run: str, name: str | None = None) -> list[int]:
    """Living processes that carry the mark of a service of this run directory (Linux; elsewhere none).

    Finds what has left its group or session and was adopted by another process, as long as it has kept
    its environment.
    """
    if not LINUX:
        return []
    wanted = f"{MARK}={name or ''}".encode()
    end = f"@{run}".encode()
    found = []
    for pid in _all_pids():
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123
            for word in file.read().split(b"\0"):
                if word == wanted + end if name else word.startswith(wanted) and word.endswith(end):
                    if started(pid) is not None:
                        found.append(pid)
                    break
    return found


def children(pid: int) -> list[int]:
    """Living direct children of a process (Linux; elsewhere none)."""
    if not LINUX:
        return []
    return [
        child
        for child in _all_pids()
        if (fields := _stat(child)) and fields[1] == str(pid) and fields[0] != "Z"
    ]


def end_all(leaders: Iterable[Leader], run: str, *, grace: float = 3.0, patience: float = 1.5) -> int:
    """End groups and everything marked: each one's own stop signal, then SIGKILL.

    Takes at most ``grace`` + ``patience`` seconds; returns how many there were.
    """
    groups = [leader for leader in leaders if group_alive(leader)]
    for leader in groups:
        signal_group(leader, leader.stop_signal)
    inside = {member for leader in groups for member in (_group_members(leader.pid) if LINUX else ())}
    strays = [pid for pid in marked(run) if pid not in inside]
    for pid in strays:
        _signal(pid, signal.SIGTERM)
    _until_gone(groups, run, grace)
    for leader in groups:
        signal_group(leader, signal.SIGKILL)
    for pid in marked(run):
        _signal(pid, signal.SIGKILL)
    _until_gone(groups, run, patience)
    return len(groups) + len(strays)


def _until_gone(groups: list[Leader], run: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and (any(map(group_alive, groups)) or marked(run)):
        time.sleep(0.03)


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _still_ours(leader: Leader) -> bool:
    # No process with that id: the number cannot be given out as long as its group has members.
    now = started(leader.pid)
    return now is None or not leader.started or now == leader.started


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the third on: state, parent, group, session, ..."""
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208


def _group_members(group: int) -> list[int]:
    wanted = str(group)
    return [pid for pid in _all_pids() if (f := _stat(pid)) and f[2] == wanted and f[0] not in ("Z", "X")]


def _started_by_ps(pid: int) -> str | None:
    import subprocess  # here, so that Linux's guardian does not carry it

    asked = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        env={"PATH": "/bin:/usr/bin", "LC_ALL": "C", "TZ": "UTC"},
        check=False,
    )
    state, _, when = asked.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else " ".join(when.split())
