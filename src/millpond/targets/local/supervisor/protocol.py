"""What supervisor and clients say to each other, and where they meet.

JSON objects, one per line, over a unix socket. The daemon greets each connection with
``{"supervisor": PROTOCOL, "version": ..., "pid": ..., "run": ...}``. A request is
``{"verb": ..., ...arguments}``; its answer ``{"ok": ...}`` or ``{"error": {"kind", "message", "hint",
"details"}}``. After ``{"verb": "events"}`` and its answer, each line is a state change. The greeting and the
verbs ``ping`` and ``shutdown`` stay the same in every version, so that any version can end any other.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor.processes import LINUX

PROTOCOL = 1
SOCKET = "supervisor.sock"
ADDRESS = "supervisor.addr"
LOG = "supervisor.log"
LOCK = "supervisor.lock"
LONGEST_PATH = 100
"""Bytes of a socket path that every system takes (macOS has room for 103)."""

LONGEST_LINE = 16 << 20
ANY_VERSION = frozenset({"ping", "shutdown"})


class SupervisorError(MillpondError):
    """The supervisor refused, failed or was not there."""

    kind = "refused"


class NotRunningError(SupervisorError):
    """There is no supervisor for this platform."""

    kind = "not-running"


class OtherVersionError(SupervisorError):
    """The supervisor was started by another version of Millpond, and speaks another protocol."""

    kind = "version"


class UnknownServiceError(SupervisorError):
    """There is no service of that name."""

    kind = "unknown"


class ServiceFailedError(SupervisorError):
    """A service has failed or stopped, so that it will not become ready; details are its last log lines."""

    kind = "failed"


class ServiceNotReadyError(SupervisorError):
    """A service is not ready yet, but may become so; details are its last log lines."""

    kind = "not-ready"


KINDS: dict[str, type[SupervisorError]] = {
    error.kind: error
    for error in (
        SupervisorError,
        NotRunningError,
        OtherVersionError,
        UnknownServiceError,
        ServiceFailedError,
        ServiceNotReadyError,
    )
}


def line(message: Any) -> bytes:
    """A message as it goes over the socket."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def refusal(error: MillpondError) -> dict[str, Any]:
    """The answer that carries an error."""
    kind = getattr(error, "kind", SupervisorError.kind)
    return {
        "error": {"kind": kind, "message": error.message, "hint": error.hint, "details": list(error.details)}
    }


def result(answer: Any) -> Any:
    """What an answer carries.

    Raises:
        SupervisorError: it carries an error; of the class that belongs to its kind.
    """
    if "error" in answer:
        error = answer["error"]
        raise KINDS.get(error["kind"], SupervisorError)(
            error["message"], hint=error.get("hint"), details=error.get("details", ())
        )
    return answer["ok"]


def check_greeting(greeting: Any, verb: str) -> None:
    """Make sure that the other end understands this verb.

    Raises:
        OtherVersionError: it does not.
    """
    theirs = greeting.get("supervisor") if isinstance(greeting, dict) else None
    if theirs != PROTOCOL and verb not in ANY_VERSION:
        version = (
            greeting.get("version", "another version") if isinstance(greeting, dict) else "another version"
        )
        raise OtherVersionError(
            f"the platform runs under the supervisor of Millpond {version}, which speaks another protocol",
            hint="`millpond down` and `millpond up` again; data is kept",
        )


def socket_path(run: Path) -> Path | None:
    """Where the supervisor of a run directory listens, if it has told."""
    direct = run / SOCKET
    if len(os.fsencode(direct)) <= LONGEST_PATH:
        return direct
    try:
        return Path((run / ADDRESS).read_text().strip())
    except OSError:
        return None


def make_socket_path(run: Path) -> Path:
    """Where to listen; a short path under the system's temporary directory where the own one is too long."""
    direct = run / SOCKET
    if len(os.fsencode(direct)) <= LONGEST_PATH:
        return direct
    for parent in (tempfile.gettempdir(), "/tmp"):
        if len(os.fsencode(parent)) < LONGEST_PATH - 40:
            folder = Path(tempfile.mkdtemp(prefix="millpond-", dir=parent))
            draft = run / f"{ADDRESS}.new"
            draft.write_text(f"{folder / SOCKET}\n")
            draft.replace(run / ADDRESS)
            return folder / SOCKET
    raise SupervisorError(f"no folder for a socket has a path short enough for {run}", hint="set TMPDIR=/tmp")


def remove_socket(run: Path) -> None:
    """Remove the socket of a supervisor that is gone, and its temporary folder."""
    path = socket_path(run)
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.unlink()
    if path.parent != run:
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    (run / ADDRESS).unlink(missing_ok=True)


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a unix socket.

    Sources: ``SO_PEERCRED`` of unix(7) on Linux, ``LOCAL_PEERCRED`` and ``struct xucred`` of macOS's unix(4).
    """
    if LINUX:
        size = struct.calcsize("3i")
        return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))[1])
    return int(struct.unpack_from("2I", connection.getsockopt(0, 1, 76))[1])


def known(names: Iterable[str]) -> str | None:
    """A hint that lists the services."""
    words = ", ".join(sorted(names))
    return f"known are {words}" if words else "nothing has been started"
