"""Free ports of this machine, below those that Linux takes for outgoing connections."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from millpond.model.errors import MillpondError

HIGHEST = 32767
"""Above it Linux takes ports for outgoing connections, which would collide at random."""


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
