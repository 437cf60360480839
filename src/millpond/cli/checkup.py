"""The checks of ``millpond doctor``, in the order in which their causes build on each other.

Each stands alone: one that fails, or breaks, never keeps the others from being made.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from millpond.cli.machine import ENOUGH_DISK, available_memory, free_disk, needed_memory
from millpond.cli.style import bytes_text

if TYPE_CHECKING:
    from millpond.cli.session import Session
    from millpond.model.platform import Platform

_BEFORE_THIS = 1_767_225_600
"""The start of 2026: a clock that shows an earlier time is wrong, and TLS will fail."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Args:
        name: what was looked at.
        state: ``warn`` does not keep a platform from running.
        reason: what was found.
        fix: what to do about it.
    """

    name: str
    state: Literal["ok", "warn", "fail"]
    reason: str
    fix: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """The check as ``--json`` prints it."""
        return {"name": self.name, "state": self.state, "reason": self.reason, "fix": self.fix}


def check_all(session: Session) -> list[Check]:
    """Make every check."""
    checks: list[tuple[str, Callable[[Session], Check]]] = [
        ("python", _python),
        ("uv", _uv),
        ("clock", _clock),
        ("cache", _cache),
        ("disk of the cache", _cache_disk),
        ("flavour", _flavour),
        ("disk of the project", _project_disk),
        ("memory", _memory),
        ("ports", _ports),
        ("socket", _socket),
        ("localhost names", _names),
        ("supervisor", _supervisor),
        ("leftovers", _leftovers),
    ]
    found = []
    for name, check in checks:
        try:
            found.append(check(session))
        except Exception as error:  # one broken check never stops the others
            reason = " ".join(str(getattr(error, "message", None) or error or type(error).__name__).split())
            found.append(Check(name, "fail", reason, getattr(error, "hint", None)))
    return found


def _python(session: Session) -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("python", "ok", f"{version} at {sys.executable}")


def _uv(session: Session) -> Check:
    import subprocess

    from uv import find_uv_bin

    path = find_uv_bin()
    answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    return Check("uv", "ok", answer.stdout.strip())


def _clock(session: Session) -> Check:
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    if now < _BEFORE_THIS:
        return Check(
            "clock", "fail", f"it shows {shown}", "set the clock; downloads and sign-ins fail with it"
        )
    newest = _newest(session)
    if newest > now + 60:
        return Check(
            "clock", "warn", f"it shows {shown}, but files of this platform are from later", "set the clock"
        )
    return Check("clock", "ok", shown)


def _newest(session: Session) -> float:
    from millpond.model.errors import MillpondError

    try:
        return max((p.stat().st_mtime for p in session.workspace().root.glob("*")), default=0.0)
    except (MillpondError, OSError):
        return 0.0


def _cache(session: Session) -> Check:
    from millpond.targets.local.installs import InstallStore, default_root

    root = default_root()
    near = root
    while not near.exists():
        near = near.parent
    if not os.access(near, os.R_OK | os.W_OK | os.X_OK):
        return Check(
            "cache", "fail", f"{near} cannot be written", "set MILLPOND_CACHE_DIR to a folder of yours"
        )
    installs = InstallStore().installs() if root.exists() else []
    size = sum(found.size for found in installs)
    return Check("cache", "ok", f"{root}: {len(installs)} installs, {bytes_text(size)}")


def _disk(name: str, path: Path) -> Check:
    free = free_disk(path)
    if free < ENOUGH_DISK:
        state: Literal["warn", "fail"] = "fail" if free < ENOUGH_DISK // 6 else "warn"
        return Check(name, state, f"{bytes_text(free)} free at {path}", "make room; 3 GiB is a good start")
    return Check(name, "ok", f"{bytes_text(free)} free")


def _cache_disk(session: Session) -> Check:
    from millpond.targets.local.installs import default_root

    return _disk("disk of the cache", default_root())


def _platform(session: Session) -> Platform | None:
    """The folder's platform; None where there is no flavour file, or it is wrong, which is another check."""
    from millpond.model.errors import MillpondError

    try:
        source = session.source()
        return source.resolve(source.catalogue())
    except MillpondError:
        return None


def _flavour(session: Session) -> Check:
    from millpond.model.errors import DocumentError, MillpondError

    try:
        path, _ = session.locate()
    except MillpondError as error:
        return Check("flavour", "warn", error.message, error.hint)
    try:
        source = session.source()
        platform = source.resolve(source.catalogue())
    except DocumentError as error:
        return Check("flavour", "fail", error.message, error.hint)
    return Check("flavour", "ok", f"{path}: {', '.join(platform.nodes)}")


def _project_disk(session: Session) -> Check:
    from millpond.model.errors import MillpondError

    try:
        project = session.locate()[1]
    except MillpondError:
        project = session.folder
    if not os.access(project, os.W_OK):
        return Check("disk of the project", "fail", f"{project} cannot be written", "choose another folder")
    return _disk("disk of the project", project)


def _memory(session: Session) -> Check:
    found = available_memory()
    if found is None:
        return Check("memory", "warn", "this system does not tell how much is available")
    platform = _platform(session)
    if platform is None:
        return Check("memory", "ok", f"{bytes_text(found)} available")
    running = set(_running(session))
    wanted = sum(
        node.component.service.resources.memory_bytes
        for name, node in platform.nodes.items()
        if name not in running
    )
    text = f"{bytes_text(found)} available, {platform.name} wants {bytes_text(needed_memory(platform))}"
    if wanted > found:
        return Check("memory", "warn", text, "stop other programs, or take components out of the flavour")
    return Check("memory", "ok", text)


def _running(session: Session) -> list[str]:
    from millpond.cli.stopping import still_running

    return still_running(session.workspace())


def _ports(session: Session) -> Check:
    from millpond.targets.local.state import State
    from millpond.targets.ports import is_free

    platform = _platform(session)
    if platform is None:
        return Check("ports", "ok", "no platform here needs any yet")
    kept = State(session.workspace().state).nodes
    running = set(_running(session))
    taken = [
        f"{port} ({name})"
        for name, node in kept.items()
        if name in platform.nodes and name not in running
        for port in node.ports.values()
        if not is_free(port)
    ]
    if taken:
        names = sorted({entry.split("(")[1].rstrip(")") for entry in taken})
        fix = "stop what listens there, or: millpond up " + " ".join(f"--new-ports {name}" for name in names)
        return Check("ports", "fail", f"taken by others: {', '.join(taken)}", fix)
    count = sum(len(node.ports) for node in kept.values())
    return Check("ports", "ok", f"{count} kept, none taken by others" if count else "found by the first up")


def _socket(session: Session) -> Check:
    import tempfile

    from millpond.model.errors import MillpondError
    from millpond.targets.local.supervisor.protocol import LONGEST_PATH, SOCKET

    try:
        path = session.workspace().run / SOCKET
    except MillpondError:
        path = session.folder / ".millpond" / "run" / SOCKET
    length = len(os.fsencode(path.absolute()))
    if length <= LONGEST_PATH:
        return Check("socket", "ok", f"its path has {length} of {LONGEST_PATH} bytes")
    if len(os.fsencode(tempfile.gettempdir())) < LONGEST_PATH - 40:
        return Check(
            "socket", "ok", f"its path would have {length} bytes, so it is in {tempfile.gettempdir()}"
        )
    return Check("socket", "fail", f"its path has {length} bytes, and TMPDIR is long too", "set TMPDIR=/tmp")


def _names(session: Session) -> Check:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo("millpond.localhost", 80)}
    except OSError:
        fix = "browsers and curl know these names by themselves; for other programs add them to /etc/hosts"
        return Check("localhost names", "warn", "*.localhost does not resolve on this system", fix)
    if found <= {"127.0.0.1", "::1"}:
        return Check("localhost names", "ok", "*.localhost resolves to this machine")
    return Check(
        "localhost names",
        "fail",
        f"*.localhost resolves to {', '.join(sorted(found))}",
        "mend DNS or /etc/hosts",
    )


def _supervisor(session: Session) -> Check:
    from millpond.model.errors import MillpondError
    from millpond.targets.local.supervisor.blocking import BlockingSupervisor
    from millpond.targets.local.supervisor.protocol import NotRunningError

    try:
        workspace = session.workspace()
    except MillpondError:
        return Check("supervisor", "ok", "no platform here")
    try:
        found = BlockingSupervisor(workspace.run).ping()
    except NotRunningError:
        return Check("supervisor", "ok", "not running; `millpond up` starts it")
    return Check("supervisor", "ok", f"answers (pid {found['pid']}, Millpond {found['version']})")


def _leftovers(session: Session) -> Check:
    from millpond.model.errors import MillpondError
    from millpond.targets.local.supervisor.blocking import unlocked
    from millpond.targets.local.supervisor.register import survivors

    try:
        run = session.workspace().run
    except MillpondError:
        return Check("leftovers", "ok", "no platform here")
    if not unlocked(run):
        return Check("leftovers", "ok", "none; the supervisor lives")
    found = survivors(run)
    if found:
        reason = f"a dead supervisor left processes of {', '.join(found)}"
        return Check("leftovers", "fail", reason, "`millpond up` ends them, and starts anew")
    return Check("leftovers", "ok", "none")
