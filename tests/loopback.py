"""Ports of the loopback address that tests may listen on."""

from __future__ import annotations

import itertools
import os
import socket

# Below what the system hands out for outgoing connections. Each process of the tests begins elsewhere and
# goes up, so that neither it nor another that runs beside it gets a port twice.
_FIRST, _LAST = 20500, 32000
_BLOCK = 150
_numbers = itertools.count(os.getpid() * _BLOCK % (_LAST - _FIRST))


def free_port() -> int:
    """A port that nobody listens on, and that was not given before."""
    for number in itertools.islice(_numbers, _LAST - _FIRST):
        port = _FIRST + number % (_LAST - _FIRST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
