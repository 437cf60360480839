"""What one client may take: sizes, times and connections, tried with raw sockets."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from millpond_gateway import Gateway, Upstream, wait_until

LARGEST = 10_000


@pytest.fixture
def limited(gateway: Gateway, upstream: Upstream) -> Gateway:
    """A gateway with one host whose bodies are limited, and one whose are not."""
    to = {"upstreams": [{"address": upstream.address}], "sign_in": False}
    times = {"timeout": 1, "body_timeout": 2}
    gateway.client.put_routes(
        "limits", [{"host": "limited", "max_body": LARGEST, **times, **to}, {"host": "free", **to}]
    )
    return gateway


@contextlib.contextmanager
def connected(gateway: Gateway) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=5) as connection:
        yield connection


def head(method: str = "POST", host: str = "limited", *lines: str) -> bytes:
    return "\r\n".join([f"{method} /infer HTTP/1.1", f"host: {host}.localhost", *lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status, and everything until the connection ends or the body is whole."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    length = 0
    while line := file.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, file.read(length)


def chunked(size: int) -> bytes:
    return b"%x\r\n%s\r\n0\r\n\r\n" % (size, bytes(size))


def test_a_body_that_is_too_large_is_refused_before_it_comes(limited: Gateway, upstream: Upstream) -> None:
    upstream.seen.clear()
    with connected(limited) as connection:
        connection.sendall(head("POST", "limited", f"content-length: {LARGEST + 1}"))
        status, body = answer(connection)
    assert status == 413
    assert b"larger than this route takes" in body
    assert upstream.seen == []


@pytest.mark.parametrize(("size", "status"), [(1, 200), (LARGEST, 200), (LARGEST + 1, 413)])
@pytest.mark.parametrize("by_length", [True, False])
def test_the_limit_is_exact_however_the_body_comes(
    limited: Gateway, upstream: Upstream, size: int, status: int, by_length: bool
) -> None:
    upstream.seen.clear()
    with connected(limited) as connection:
        if by_length:
            connection.sendall(head("POST", "limited", f"content-length: {size}") + bytes(size))
        else:
            connection.sendall(head("POST", "limited", "transfer-encoding: chunked") + chunked(size))
        assert answer(connection)[0] == status
    assert len(upstream.seen) == (status == 200)


def test_other_routes_have_no_limit(limited: Gateway) -> None:
    assert limited.request("free", "/", "PUT", data=bytes(LARGEST * 10)).json()["size"] == LARGEST * 10
    assert limited.request("limited").status_code == 200


def test_a_mirrored_body_has_a_limit_too(gateway: Gateway, upstream: Upstream) -> None:
    to = {"upstreams": [{"address": upstream.address}], "mirrors": [{"address": "127.0.0.1:9"}]}
    gateway.client.put_routes("mirrored", [{"host": "limited", "sign_in": False, **to}])
    with connected(gateway) as connection:
        connection.sendall(head("POST", "limited", f"content-length: {(64 << 20) + 1}"))
        assert answer(connection)[0] == 413


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["x-large: " + "a" * 50_000], 200),
        (["x-large: " + "a" * 62_000], 431),
        ([f"x-{index}: a" for index in range(90)], 200),
        ([f"x-{index}: a" for index in range(110)], 431),
    ],
)
def test_headers_have_a_size_and_a_number(
    limited: Gateway, upstream: Upstream, lines: list[str], status: int
) -> None:
    with connected(limited) as connection:
        connection.sendall(head("GET", "free", *lines))
        found, body = answer(connection)
    # http.server itself takes 64 KiB in a line and 100 headers; what passes the gateway is within that.
    assert found == status
    assert status == 200 or b"at most 100 headers and 60 KiB" in body


def ends_within(connection: socket.socket, piece: bytes, pause: float, most: float) -> float:
    """Seconds after which the gateway hangs up on who sends a piece after each pause."""
    before = time.monotonic()
    connection.settimeout(pause)
    while time.monotonic() - before < most:
        try:
            connection.sendall(piece)
            if not connection.recv(1000):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - before


@pytest.mark.slow
def test_headers_that_come_slowly_are_cut_off(limited: Gateway, upstream: Upstream) -> None:
    with connected(limited) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: free.localhost\r\nx-slow: ")
        assert 8 < ends_within(connection, b"a", 1.0, 20) < 13


@pytest.mark.slow
def test_a_body_that_comes_slowly_is_cut_off_and_its_upstream_sees_nothing(
    limited: Gateway, upstream: Upstream
) -> None:
    upstream.seen.clear()
    with connected(limited) as connection:
        connection.sendall(head("POST", "limited", "content-length: 5000"))
        # Two seconds for the body, and one for the answer.
        assert 2 < ends_within(connection, b"a", 0.5, 20) < 5
    with connected(limited) as connection:
        connection.sendall(head("POST", "limited", "content-length: 5000"))
        status, body = answer(connection)
        assert status == 408
        assert b"did not arrive in time" in body
    assert upstream.seen == []


@pytest.mark.slow
def test_slow_clients_cost_the_others_nothing(limited: Gateway, upstream: Upstream) -> None:
    def median() -> float:
        found = []
        with requests.Session() as session:
            for _ in range(200):
                before = time.perf_counter()
                given = limited.request("limited", "/infer", "POST", data=b"{}", session=session)
                assert given.status_code == 200
                found.append(time.perf_counter() - before)
        return statistics.median(found)

    alone = median()
    before = len(upstream.seen)
    with contextlib.ExitStack() as slow:
        for index in range(300):
            connection = slow.enter_context(connected(limited))
            if index % 2:
                connection.sendall(head("POST", "limited", "content-length: 5000") + b"a")
            else:
                connection.sendall(b"GET / HTTP/1.1\r\nhost: limited.localhost\r\nx-slow: ")
        beside = median()
    assert len(upstream.seen) == before + 200
    assert beside < alone * 3 + 0.005


@pytest.mark.slow
def test_connections_are_limited_and_leave_room_for_upstreams(
    gateway_python: Path, tmp_path: Path, upstream: Upstream
) -> None:
    gateway = Gateway(gateway_python, tmp_path, files=400)
    try:
        gateway.start()
        gateway.client.put_routes(
            "free", [{"host": "free", "upstreams": [{"address": upstream.address}], "sign_in": False}]
        )
        with contextlib.ExitStack() as many:
            connections = [many.enter_context(connected(gateway)) for _ in range(300)]
            statuses = []
            for connection in connections:
                with contextlib.suppress(OSError, IndexError):
                    connection.sendall(head("GET", "free"))
                    statuses.append(answer(connection)[0])
        # Half of what it may open is for clients; the others are hung up on, and nobody is answered wrongly.
        assert statuses == [200] * 200
        wait_until(lambda: gateway.request("free").status_code == 200, 5, "there is room again")
    finally:
        gateway.stop()
