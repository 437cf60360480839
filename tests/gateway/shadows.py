"""Shadows that misbehave, each a socket of its own."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from loopback import free_port

Behaviour = Callable[[socket.socket, threading.Event], None]


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Read whatever comes and never answer."""
    connection.settimeout(0.1)
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            if not connection.recv(1 << 16):
                return


def never_read(connection: socket.socket, over: threading.Event) -> None:
    """Take the connection and not a byte of it."""
    over.wait()


def wrong(connection: socket.socket, over: threading.Event) -> None:
    """Answer with something that is no HTTP."""
    connection.recv(1 << 16)
    connection.sendall(b"220 mail.example ESMTP\r\n")


def failing(connection: socket.socket, over: threading.Event) -> None:
    """Answer 500 at once, before the body is read."""
    connection.recv(1 << 10)
    connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops")


def hang_up(connection: socket.socket, over: threading.Event) -> None:
    """Close as soon as something comes."""
    connection.recv(1 << 10)


def dribble(connection: socket.socket, over: threading.Event) -> None:
    """Answer without an end, a byte at a time."""
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b"x")


def slow(connection: socket.socket, over: threading.Event) -> None:
    """Answer each request rightly, after 300 ms."""
    while connection.recv(1 << 16) and not over.wait(0.3):
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")


BEHAVIOURS: dict[str, Behaviour | None] = {
    "dead": None,
    **{found.__name__: found for found in (slow, hang, never_read, wrong, failing, hang_up, dribble)},
}


@contextlib.contextmanager
def shadow(behaviour: Behaviour | None) -> Iterator[str]:
    """The address of a shadow that behaves so to every connection; None: nobody listens there."""
    address = ("127.0.0.1", free_port())
    if behaviour is None:
        yield f"{address[0]}:{address[1]}"
        return
    over = threading.Event()
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            behaviour(connection, over)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=serve, args=(connection,), daemon=True)
            threads.append(thread)
            thread.start()

    with socket.create_server(address, backlog=1024) as listening:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield f"{address[0]}:{address[1]}"
        finally:
            over.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
    for thread in threads:
        thread.join(5)
