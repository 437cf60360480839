"""Requests for models that sleep: one wake, nothing lost, nothing sent twice, and bounds on what waits."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from routers import TOKEN, Handler, Router, Seen, Server, until, unused_address

from loopback import free_port
from model_servers import ModelServer, ask

Serve = Callable[[Handler], Server]
PATH = "/v2/models/pond/infer"


class Controller:
    """The wake path of a controller, and what it answers for each name."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.server = Server(self._wake)

    def _wake(self, seen: Seen) -> Any:
        assert seen.headers["authorization"] == f"Bearer {TOKEN}"
        assert seen.method == "POST"
        given = self.answers.get(
            seen.path.removeprefix("/internal/wake/").partition("?")[0], (404, {"message": "none"})
        )
        return given() if callable(given) else given

    def wakes(self, name: str) -> int:
        """How often a model was woken."""
        return sum(seen.path.startswith(f"/internal/wake/{name}?") for seen in self.server.seen)


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    """A controller for the module's router."""
    found = Controller()
    yield found
    found.server.stop()


@pytest.fixture(scope="module")
def router(
    science_python: Path, controller: Controller, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Router]:
    """A router with small bounds."""
    folder = tmp_path_factory.mktemp("cold")
    bounds = ("--max-waiting", "40", "--max-waiting-bytes", "1000000", "--max-body", "600000", "--wait", "3")
    found = Router(science_python, folder, *bounds, "--body-timeout", "1", controller=controller.server.url)
    try:
        yield found.wait_ready()
    finally:
        found.stop()


@pytest.fixture
def name() -> str:
    """A model that no other test woke."""
    _names.append(0)
    return f"pond-{len(_names)}"


_names: list[int] = []


def after(event: threading.Event, answer: Any) -> Callable[[], Any]:
    """An answer that waits for an event."""

    def give() -> Any:
        event.wait(20)
        return answer

    return give


def raw(port: int, text: bytes, seconds: float = 10) -> bytes:
    """All that comes back on a connection for what is sent."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(text)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def announcing(name: str, size: int) -> bytes:
    """A request's head without its body."""
    return f"POST {PATH} HTTP/1.1\r\nHost: {name}.localhost\r\nContent-Length: {size}\r\n\r\n".encode()


def test_many_requests_wait_for_one_wake(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model, awake = serve(lambda seen: {"echo": seen.json}), threading.Event()
    controller.answers[name] = after(awake, {"addresses": [model.address]})
    with ThreadPoolExecutor(30) as pool:
        held = [pool.submit(router.ask, name, {"n": n}, PATH) for n in range(30)]
        until(lambda: router.metric("millpond_router_waiting_requests") == 30)
        assert not model.seen
        awake.set()
        answers = [each.result() for each in held]
    assert [answer.json for answer in answers] == [{"echo": {"n": n}} for n in range(30)]
    assert controller.wakes(name) == 1
    assert len(model.seen) == 30
    assert router.metric("millpond_router_waiting_requests") == 0
    assert router.metric("millpond_router_waiting_bytes") == 0


def test_a_request_is_passed_on_as_it_is(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model = serve(lambda seen: (207, {"a": 1}, {"x-mine": "b", "x-request-id": "c"}))
    controller.answers[name] = {"addresses": [model.address]}
    body = b'{ "a":\n1.0 }'
    headers = {"X-Header": "1", "Connection": "x-hop", "X-Hop": "no", "Content-Type": "application/json"}
    answer = router.ask(name, body, "/v1/models/a%20b%0D%C3%BC:predict?x=%20y&z", headers, method="PUT")
    assert (answer.status, answer.body) == (207, b'{"a": 1}')
    assert (answer.headers["x-mine"], answer.headers["x-request-id"]) == ("b", "c")
    seen = model.seen[0]
    assert (seen.method, seen.path, seen.body) == ("PUT", "/v1/models/a%20b%0D%C3%BC:predict?x=%20y&z", body)
    assert seen.headers["host"] == f"{name}.localhost:{router.port}"
    assert (seen.headers["x-header"], "x-hop" in seen.headers) == ("1", False)
    assert len(seen.headers["x-request-id"]) == 32
    assert router.ask(name, None, "/v2/health/ready").status == 207
    assert (model.seen[1].method, model.seen[1].body) == ("GET", b"")
    assert "content-type" not in model.seen[1].headers


@pytest.mark.parametrize(
    "path", ["/v2/models/{}/infer", "/v1/models/{}:predict", "/v2/models/{}", "/v1/models/{}"]
)
def test_the_path_names_the_model_where_the_host_does_not(
    router: Router, controller: Controller, serve: Serve, name: str, path: str
) -> None:
    model = serve(lambda seen: {})
    controller.answers[name] = {"addresses": [model.address]}
    assert ask(router.port, path.format(name), {}).status == 200
    shared = {"Host": f"serving.localhost:{router.port}"}
    assert ask(router.port, path.format(name), {}, headers=shared).status == 200
    assert controller.wakes(name) == 1, "what is awake is not woken again"


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ((503, {"message": "pond does not load: no module x"}), 503, "pond does not load: no module x"),
        ((503, {"reason": "no memory"}), 503, "no memory"),
        ((404, {"message": "none"}), 404, "there is no deployment"),
        ((500, {"message": "secret"}), 503, "cannot be started"),
        ((200, b"nonsense"), 503, "the controller named no address"),
        ({"addresses": []}, 503, "the controller named no address"),
    ],
)
def test_a_model_that_does_not_wake_is_told_with_the_reason(
    router: Router, controller: Controller, name: str, given: Any, status: int, said: str
) -> None:
    controller.answers[name] = given
    answer = router.ask(name, {}, PATH)
    assert answer.status == status
    assert said in answer.error
    assert ("retry-after" in answer.headers) == (status == 503)
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.slow
def test_the_wait_is_bounded(router: Router, controller: Controller, name: str) -> None:
    never = threading.Event()
    controller.answers[name] = after(never, {"addresses": []})
    begun = time.monotonic()
    with ThreadPoolExecutor(50) as pool:
        held = [pool.submit(router.ask, name, {}, PATH) for _ in range(50)]
        answers = [each.result() for each in held]
    never.set()
    assert sorted(answer.status for answer in answers) == [503] * 10 + [504] * 40
    assert {answer.error for answer in answers if answer.status == 504} == {f"{name} did not start in time"}
    assert "40 requests wait for models to start" in next(a.error for a in answers if a.status == 503)
    assert 2.5 < time.monotonic() - begun < 10
    assert router.metric("millpond_router_waiting_requests") == 0


def test_the_bytes_that_wait_are_bounded(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model, awake = serve(lambda seen: {"size": len(seen.body)}), threading.Event()
    controller.answers[name] = after(awake, {"addresses": [model.address]})
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(router.ask, name, b"x" * 600_000, PATH)
        until(lambda: router.metric("millpond_router_waiting_bytes") == 600_000)
        second = raw(router.port, announcing(name, 500_000))
        assert second.startswith(b"HTTP/1.1 503 ") and b"too many bytes" in second
        awake.set()
        assert first.result().json == {"size": 600_000}
    assert raw(router.port, announcing(name, 600_001)).startswith(b"HTTP/1.1 413 ")
    assert router.metric("millpond_router_waiting_bytes") == 0


def test_a_controller_that_restarts_is_waited_for(science_python: Path, tmp_path: Path, serve: Serve) -> None:
    model, port = serve(lambda seen: {"awake": True}), free_port()
    router = Router(science_python, tmp_path, controller=f"http://127.0.0.1:{port}").wait_ready()
    try:
        with ThreadPoolExecutor(1) as pool:
            held = pool.submit(router.ask, "pond", {}, PATH)
            until(lambda: router.metric("millpond_router_waiting_requests") == 1)
            assert not held.done()
            with socket.create_server(("127.0.0.1", port)) as listening:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    body = json.dumps({"addresses": [model.address]})
                    connection.sendall(
                        f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
                    )
                    assert held.result().json == {"awake": True}
    finally:
        router.stop()


def test_where_nobody_listens_another_wake_helps(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model, answers = serve(lambda seen: {"awake": True}), [{"addresses": [unused_address()]}]
    controller.answers[name] = lambda: answers.pop() if answers else {"addresses": [model.address]}
    assert router.ask(name, {}, PATH).json == {"awake": True}
    assert controller.wakes(name) == 2
    assert len(model.seen) == 1


def test_a_dead_replica_is_passed_over(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model = serve(lambda seen: {"awake": True})
    controller.answers[name] = {"addresses": [unused_address(), model.address, unused_address()]}
    assert [router.ask(name, {}, PATH).status for _ in range(20)] == [200] * 20
    assert controller.wakes(name) == 1


@pytest.mark.slow
def test_an_address_that_never_answers_is_504(router: Router, controller: Controller, name: str) -> None:
    controller.answers[name] = {"addresses": [unused_address()]}
    answer = router.ask(name, {}, PATH)
    # The time may be over between two attempts, or while the last one asks for another process.
    said = {f"{name} could not be reached in time", f"{name} did not start in time"}
    assert answer.status == 504 and answer.error in said


def test_what_a_server_has_seen_is_not_sent_twice(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model = serve(lambda seen: None)
    controller.answers[name] = {"addresses": [model.address]}
    for method in ("POST", "GET"):
        answer = router.ask(name, {}, PATH, method=method)
        assert answer.status == 502
        assert answer.error == f"{name} did not answer: the connection broke before the answer was whole"
    assert len(model.seen) == 2


def test_a_client_that_leaves_gives_its_place_back(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    model, awake = serve(lambda seen: {}), threading.Event()
    controller.answers[name] = after(awake, {"addresses": [model.address]})
    with ThreadPoolExecutor(2) as pool:
        stays = pool.submit(router.ask, name, {}, PATH)
        with pytest.raises(OSError):
            router.ask(name, {}, PATH, timeout=0.2)
        until(lambda: router.metric("millpond_router_waiting_requests") == 1)
        awake.set()
        assert stays.result().status == 200
    assert len(model.seen) == 1
    assert controller.wakes(name) == 1


def test_a_slow_body_and_long_headers_are_ended(router: Router, name: str) -> None:
    assert raw(router.port, announcing(name, 100) + b"begun").startswith(b"HTTP/1.1 408 ")
    long = f"GET / HTTP/1.1\r\nHost: {name}.localhost\r\nX-Long: {'x' * 200_000}\r\n\r\n".encode()
    assert raw(router.port, long).startswith(b"HTTP/1.1 431 ")
    chunked = f"POST {PATH} HTTP/1.1\r\nHost: {name}.localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    chunk = b"20000\r\n" + b"x" * 0x20000 + b"\r\n"
    assert raw(router.port, chunked + chunk * 5).startswith(b"HTTP/1.1 413 ")


class Streaming:
    """A server that sends one answer piece by piece, each when told."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._listening = socket.create_server(("127.0.0.1", free_port()))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self.connection: socket.socket | None = None
        self.sent = False
        self.asked = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        self.connection, _ = self._listening.accept()
        self.asked = self.connection.recv(65536)
        self.connection.sendall(self._head)
        self.sent = True

    def send(self, data: bytes) -> None:
        """Send a piece."""
        until(lambda: self.sent)
        assert self.connection is not None
        self.connection.sendall(data)

    def close(self) -> None:
        """Break the connection."""
        assert self.connection is not None
        self.connection.close()
        self._listening.close()


def test_an_answer_is_streamed(router: Router, controller: Controller, name: str) -> None:
    kind = b"Content-Type: text/event-stream"
    model = Streaming(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n" % kind)
    controller.answers[name] = {"addresses": [model.address]}
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {name}.localhost\r\n\r\n".encode())
        for word in (b"first", b"second"):
            model.send(b"%x\r\n%s\r\n" % (len(word), word))
            got = b""
            while word not in got:
                got += client.recv(65536)
        model.send(b"0\r\n\r\n")
        while not got.endswith(b"0\r\n\r\n"):
            got += client.recv(65536)
    model.close()
    assert router.metric("millpond_router_waiting_requests") == 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"Content-Length: 10\r\n\r\nhalf", b"502"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"502"),
        # Begun already, and broken off: fewer bytes come than were told.
        (b"Content-Length: 2000000\r\n\r\nhalf", b"200"),
    ],
)
def test_a_broken_answer_is_not_taken_for_a_whole_one(
    router: Router, controller: Controller, name: str, head: bytes, status: bytes
) -> None:
    model = Streaming(b"HTTP/1.1 200 OK\r\n" + head)
    controller.answers[name] = {"addresses": [model.address]}
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as client:
        client.sendall(f"GET / HTTP/1.1\r\nHost: {name}.localhost\r\nConnection: close\r\n\r\n".encode())
        got = client.recv(65536) if status == b"200" else b""
        until(lambda: model.sent)
        model.close()
        while part := client.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 " + status)
    assert (b"did not finish its answer" in got) == (status == b"502")
    assert router.ask(None, path="/healthz").status == 200


def test_a_large_answer_arrives_whole(
    router: Router, controller: Controller, serve: Serve, name: str
) -> None:
    body = bytes(range(256)) * 20_000
    model = serve(lambda seen: (200, body, {"content-type": "application/octet-stream"}))
    controller.answers[name] = {"addresses": [model.address]}
    answer = router.ask(name, {}, PATH)
    assert answer.headers["content-length"] == str(len(body))
    assert answer.body == body


@pytest.mark.parametrize(
    ("request_line", "host", "status"),
    [
        ("OPTIONS *", "pond.localhost", 400),
        ("GET //v2/models/pond", "localhost", 404),
        ("GET /", "a b.localhost", 404),
        ("GET /", "../x.localhost", 404),
        ("GET /", "[::1]:80", 404),
        ("GET /v2/models/Pond%0d%0aX", "127.0.0.1", 404),
        ("GET /v2/models/pond%0d%0aX: y", "127.0.0.1", 400),
        ("CONNECT pond:80", "pond:80", 404),
    ],
)
def test_odd_requests_are_refused(router: Router, request_line: str, host: str, status: int) -> None:
    head = f"{request_line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert raw(router.port, head.encode()).startswith(b"HTTP/1.1 %d " % status)
    assert "Traceback" not in router.log


def test_headers_that_stand_twice_and_expectations(router: Router, controller: Controller, name: str) -> None:
    model = Streaming(b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n")
    controller.answers[name] = {"addresses": [model.address]}
    head = f"POST / HTTP/1.1\r\nHost: {name}.localhost\r\nX-A: 1\r\nX-A: 2\r\nExpect: 100-continue\r\n"
    got = raw(router.port, f"{head}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}".encode())
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert got.count(b"set-cookie: ") == 2
    assert b"x-a: 1\r\nx-a: 2\r\n" in model.asked.lower()
    assert b"expect" not in model.asked.lower()


def test_a_request_that_breaks_off_is_no_fault(router: Router, name: str) -> None:
    with socket.create_connection(("127.0.0.1", router.port), timeout=10) as client:
        client.sendall(announcing(name, 100) + b"begun")
        until(lambda: router.metric("millpond_router_waiting_requests") == 1)
    until(lambda: router.metric("millpond_router_waiting_requests") == 0)
    assert "Traceback" not in router.log


def test_a_mirrored_request_wakes_nothing(router: Router, controller: Controller, name: str) -> None:
    for host in (f"{name}.localhost-shadow:8080", f"{name}.localhost-shadow"):
        assert ask(router.port, PATH, {}, headers={"Host": host}).status == 503
    assert controller.wakes(name) == 0


CALL = """
import sys, time, grpc
channel = grpc.insecure_channel("127.0.0.1:" + sys.argv[1], options=[("grpc.default_authority", sys.argv[2])])
call = channel.unary_unary("/inference.GRPCInferenceService/ModelReady", lambda x: x, lambda x: x)
try:
    call(b"", timeout=20)
except grpc.RpcError as error:
    print(error.code().name, error.details())
"""


def test_a_grpc_call_wakes_the_model_and_may_be_tried_again(
    router: Router, controller: Controller, science_python: Path, name: str
) -> None:
    controller.answers[name] = {"addresses": ["127.0.0.1:1"]}
    for asked, said in (
        (name, f"{name} was asleep and is awake now, call again"),
        ("none", "there is no deployment none"),
    ):
        command = [str(science_python), "-c", CALL, str(router.port), f"{asked}.localhost"]
        found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
        assert found.stdout.strip() == f"UNAVAILABLE {said}"
    assert controller.wakes(name) == 1


def test_a_stop_finishes_what_is_under_way(science_python: Path, tmp_path: Path, serve: Serve) -> None:
    awake = threading.Event()
    model = serve(lambda seen: {"awake": True})
    controller = serve(lambda seen: (awake.wait(20), {"addresses": [model.address]})[1])
    router = Router(science_python, tmp_path, controller=controller.url).wait_ready()
    with ThreadPoolExecutor(2) as pool:
        held = pool.submit(router.ask, "pond", {}, PATH)
        until(lambda: len(controller.seen) == 1)
        stopped = pool.submit(router.stop)
        until(lambda: _refuses(router.port))
        awake.set()
        assert held.result().json == {"awake": True}
        assert stopped.result() == 0


def _refuses(port: int) -> bool:
    try:
        ask(port, "/healthz", timeout=1)
    except OSError:
        return True
    return False


def test_without_a_controller_nothing_wakes(science_python: Path, tmp_path: Path) -> None:
    router = Router(science_python, tmp_path).wait_ready()
    try:
        answer = router.ask("pond", {}, PATH)
        assert (answer.status, answer.error) == (
            503,
            "pond cannot be started, the router knows no controller",
        )
    finally:
        router.stop()


@pytest.mark.slow
def test_a_sleeping_model_server_answers_its_first_requests(
    router: Router, controller: Controller, science_python: Path, models: Path, tmp_path: Path, name: str
) -> None:
    server = ModelServer(science_python, models / "echo", name, tmp_path / "model.log")

    def wake() -> Any:
        server.start()
        server.wait_ready()
        return {"addresses": [f"127.0.0.1:{server.port}"]}

    controller.answers["asleep"] = wake
    patient = Router(science_python, tmp_path / "patient", controller=controller.server.url).wait_ready()
    body = {"inputs": [{"name": "number", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    try:
        with ThreadPoolExecutor(16) as pool:
            held = [pool.submit(patient.ask, "asleep", body, f"/v2/models/{name}/infer") for _ in range(16)]
            assert [each.result().status for each in held] == [200] * 16
        assert controller.wakes("asleep") == 1
    finally:
        patient.stop()
        server.stop()
