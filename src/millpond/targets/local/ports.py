"""Ports: found free once, then kept for as long as the platform exists."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor.listeners import listeners

HIGHEST = 32767
"""Above it Linux takes ports for outgoing connections, which would collide at random."""


class PortTakenError(MillpondError):
    """A port that the platform has kept is used by somebody else."""


def is_free(port: int) -> bool:
    """Whether nobody listens on the port on loopback or on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a port would count as taken for a minute after its last connection.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def allocate(wanted: int, used: Iterable[int]) -> int:
    """The first free port from `wanted` on.

    Args:
        wanted: the component's usual port.
        used: ports that this platform has given away, listening or not.

    Raises:
        MillpondError: none is free.
    """
    taken = set(used)
    for port in _candidates(wanted):
        if port not in taken and is_free(port):
            return port
    raise MillpondError("no port below 32768 is free", hint="stop something that listens")


def _candidates(wanted: int) -> Iterator[int]:
    yield from range(wanted, HIGHEST + 1)
    yield from range(10000, wanted)


def require(component: str, name: str, port: int) -> None:
    """Make sure that a port which the platform has kept can be used.

    Raises:
        PortTakenError: it cannot; says by whom, as far as it can be found out.
    """
    if is_free(port):
        return
    holder = listeners(port)
    raise PortTakenError(
        f"{component}: port {port} ({name}) is taken" + (f" by {holder}" if holder else ""),
        hint=f"stop that, or let millpond find another port: millpond up --new-ports {component}",
    )
