"""Free ports of this machine, below those that Linux takes for outgoing connections."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from millpond.model.errors import MillpondError

HIGHEST = 32767
"""Above it Linux takes ports for outgoing connections, which would collide at random."""

_held: dict[int, int] = {}
"""The ports that this process has reserved, and the files by which it does."""


def is_free(port: int) -> bool:
    """Whether nobody listens on the port on loopback or on all addresses."""
    return all(_can_bind(address, port) for address in ("127.0.0.1", "0.0.0.0"))


def _can_bind(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port would count as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def reserve(port: int) -> bool:
    """Keep a port from this user's other Millpond processes, until this process ends.

    Between choosing a port and listening on it passes the whole start of a component; two platforms that come
    up at the same moment would both choose it. A lock of the kernel on a small file ends with its process,
    however that ends, so nothing has to be cleaned up.

    Returns:
        Whether it is this process's now; also true where no such file can be made.
    """
    if port in _held:
        return True
    folder = Path(tempfile.gettempdir()) / f"millpond-ports-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        file = os.open(folder / str(port), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        _held[port] = file
    return True


def allocate(wanted: int, used: Iterable[int]) -> int:
    """The first free port from `wanted` on, reserved for this process.

    Args:
        wanted: the component's usual port.
        used: ports that this platform has given away, listening or not.

    Raises:
        MillpondError: none is free.
    """
    taken = set(used)
    for port in _candidates(wanted):
        if port not in taken and is_free(port) and reserve(port):
            return port
    raise MillpondError("no port below 32768 is free", hint="stop something that listens")


def _candidates(wanted: int) -> Iterator[int]:
    yield from range(wanted, HIGHEST + 1)
    yield from range(10000, wanted)
