"""What one client may take of a model server: sizes, times, places; against a process with small limits."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import grpc
import pytest

from millpond.serving.openinference import SERVICE, ModelInferRequest
from model_servers import ModelServer

pytestmark = pytest.mark.slow

NUMBER = {"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}
BODY = json.dumps({"inputs": [NUMBER]}).encode()
HEAD = b"POST /v2/models/echo/infer HTTP/1.1\r\nhost: a\r\n"
SECONDS = 1.0
LARGEST = 100_000


@pytest.fixture(scope="module")
def server(
    science_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    """A server that gives a client one second for a head, one for a body, and keeps four waiting."""
    options = ("--head-timeout", str(SECONDS), "--body-timeout", str(SECONDS), "--max-waiting", "4")
    found = ModelServer(
        *(science_python, models / "echo", "echo", tmp_path_factory.mktemp("limits") / "log"),
        *(*options, "--max-body", str(LARGEST)),
    )
    found.start()
    try:
        found.wait_ready()
        yield found
    finally:
        found.stop()


def connected(server: ModelServer) -> socket.socket:
    """A connection of one's own."""
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def drip(connection: socket.socket, piece: bytes) -> bytes:
    """Send a piece over and over until the server answers or hangs up; what it said."""
    connection.settimeout(0.1)
    deadline = time.monotonic() + 10 * SECONDS
    while time.monotonic() < deadline:
        try:
            return connection.recv(65536)
        except TimeoutError:
            try:
                connection.sendall(piece)
            except OSError:
                return b""
        except OSError:
            return b""
    raise AssertionError("the server did not cut the client off")


def ended(connection: socket.socket) -> bool:
    """Whether the server hangs up, however much it says before."""
    connection.settimeout(10)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize(
    ("start", "piece", "said"),
    [
        (HEAD, b"x", b""),
        (HEAD, b"x-more: a\r\n", b""),
        (HEAD + b"content-length: 1000\r\n\r\n", b" ", b"HTTP/1.1 408 "),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n", b"HTTP/1.1 408 "),
        (HEAD + b"content-length: 1000\r\n\r\n", b"", b"HTTP/1.1 408 "),
        (b"", b"", b""),
    ],
    ids=["head", "headers", "body", "chunks", "no-body", "nothing"],
)
def test_who_sends_slowly_is_cut_off(server: ModelServer, start: bytes, piece: bytes, said: bytes) -> None:
    with closing(connected(server)) as connection:
        began = time.monotonic()
        connection.sendall(start)
        answer = drip(connection, piece)
        assert answer[: len(said)] == said and bool(answer) == bool(said), answer
        assert time.monotonic() - began < 5 * SECONDS
        assert ended(connection)


def test_slow_clients_do_not_hurt_others(server: ModelServer) -> None:
    """Two hundred of them, fifty times as many as may wait."""
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(closing(connected(server)))
            rest = b"" if number % 2 else b"content-length: 1000\r\n\r\n "
            connection.sendall(HEAD + rest)
        for _ in range(10):
            answer = server.ask("/v2/models/echo/infer", BODY)
            assert answer.status == 200, answer.body
    assert server.ask("/stats").json["in_flight"] == 0


def test_a_slow_grpc_client_is_cut_off(server: ModelServer) -> None:
    done = threading.Event()

    def never() -> Iterator[bytes]:
        done.wait(20)
        yield b""

    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        try:
            with pytest.raises(grpc.RpcError) as error:
                channel.stream_unary(f"/{SERVICE}/ModelInfer")(never(), timeout=10)
        finally:
            done.set()
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not arrive within 1 seconds" in error.value.details()


def test_who_connects_to_grpc_and_says_nothing_is_cut_off(server: ModelServer) -> None:
    with closing(socket.create_connection(("127.0.0.1", server.grpc_port), timeout=10)) as connection:
        began = time.monotonic()
        assert ended(connection)
        assert time.monotonic() - began < 5 * SECONDS


def test_a_chunked_body_needs_no_length(server: ModelServer) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:10], BODY[10:]))
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [LARGEST + 1, 10 * LARGEST])
def test_a_body_that_is_too_large(server: ModelServer, size: int) -> None:
    body = BODY + b" " * (size - len(BODY))
    answer = server.ask("/v2/models/echo/infer", body)
    assert (answer.status, f"larger than {LARGEST} bytes" in answer.error) == (413, True)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunks)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")
        assert ended(connection)
    assert server.ask("/v2/models/echo/infer", body[:LARGEST]).status == 200


def test_a_body_that_never_ends(server: ModelServer) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with closing(connected(server)) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with pytest.raises(OSError):
            for _ in range(10_000):
                connection.sendall(chunk)
    assert server.ask("/v2/health/live").status == 200


def test_a_grpc_message_that_is_too_large(server: ModelServer) -> None:
    message = ModelInferRequest(model_name="a" * LARGEST).SerializeToString()
    with (
        grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel,
        pytest.raises(grpc.RpcError) as error,
    ):
        channel.unary_unary(f"/{SERVICE}/ModelInfer")(message, timeout=10)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    "headers", [b"x-large: " + b"a" * 2_000_000 + b"\r\n", b"".join(b"x-%d: a\r\n" % n for n in range(200))]
)
def test_a_head_that_is_too_large(server: ModelServer, headers: bytes) -> None:
    with closing(connected(server)) as connection:
        try:
            connection.sendall(b"GET /v2/health/live HTTP/1.1\r\nhost: a\r\n" + headers + b"\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 431 ")
        except ConnectionError:
            pass  # it was cut off before it had sent all
    assert server.ask("/v2/health/live").status == 200


@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_too_many_waiting(server: ModelServer, protocol: str) -> None:
    found: list[Any] = []
    ask = _grpc_status if protocol == "grpc" else _rest_status
    slow = [threading.Thread(target=lambda: found.append(_rest_status(server, 1.0))) for _ in range(4)]
    for thread in slow:
        thread.start()
    try:
        _until(lambda: server.ask("/stats").json["in_flight"] == 4)
        assert ask(server, 0.0) in (503, grpc.StatusCode.UNAVAILABLE)
        assert server.ask("/v2/health/live").status == 200
    finally:
        for thread in slow:
            thread.join()
    assert found == [200] * 4
    assert ask(server, 0.0) in (200, grpc.StatusCode.OK)


def test_who_goes_away_leaves_its_place(server: ModelServer) -> None:
    message = ModelInferRequest(model_name="echo", inputs=_grpc_inputs(1.0)).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        calls = [channel.unary_unary(f"/{SERVICE}/ModelInfer").future(message) for _ in range(2)]
        _until(lambda: server.ask("/stats").json["in_flight"] == 2)
        for call in calls:
            call.cancel()
    with closing(connected(server)) as connection:
        body = json.dumps({"inputs": [NUMBER, {**NUMBER, "name": "sleep", "data": [0.5]}]}).encode()
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
    _until(lambda: server.ask("/stats").json["in_flight"] == 0)


def _rest_status(server: ModelServer, sleep: float) -> int:
    return server.infer(NUMBER, {**NUMBER, "name": "sleep", "data": [sleep]}).status


def _grpc_inputs(sleep: float) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": "FP64", "shape": [1], "contents": {"fp64_contents": [value]}}
        for name, value in (("number", 1.5), ("sleep", sleep))
    ]


def _grpc_status(server: ModelServer, sleep: float) -> grpc.StatusCode:
    message = ModelInferRequest(model_name="echo", inputs=_grpc_inputs(sleep)).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        return channel.unary_unary(f"/{SERVICE}/ModelInfer").future(message, timeout=10).code()


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
