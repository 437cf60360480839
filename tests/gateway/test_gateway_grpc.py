"""gRPC over the public port, by a real client and a real server, beside REST on the same host."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import pytest
import shadows
from millpond_gateway import Gateway, Upstream, wait_until

from loopback import free_port

SERVICE = "inference.GRPCInferenceService"


class GrpcUpstream:
    """Answers with its name and what it was sent; streams message by message; fails and waits on demand."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[dict[str, str]] = []
        limits = [("grpc.max_receive_message_length", -1)]
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=limits)
        handlers = {
            "ModelInfer": grpc.unary_unary_rpc_method_handler(self._infer),
            "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(self._stream),
        }
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        self.address = f"127.0.0.1:{free_port()}"
        assert self._server.add_insecure_port(self.address)
        self._server.start()

    def _infer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        told = {str(name): str(value) for name, value in context.invocation_metadata()}
        self.seen.append(told)
        if request == b"fail":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such tensor")
        if request == b"slow":
            time.sleep(1.0)
        context.set_trailing_metadata([("x-upstream", self.name)])
        return f"{self.name} {len(request)}".encode()

    def _stream(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for request in requests:
            yield f"{self.name} {request.decode()}".encode()

    def stop(self) -> None:
        self._server.stop(0).wait(5)


@pytest.fixture
def grpc_upstream() -> Iterator[GrpcUpstream]:
    found = GrpcUpstream("first")
    yield found
    found.stop()


@pytest.fixture
def second_grpc_upstream() -> Iterator[GrpcUpstream]:
    found = GrpcUpstream("second")
    yield found
    found.stop()


@pytest.fixture
def channel(gateway: Gateway) -> Iterator[grpc.Channel]:
    """A channel to the public port under the name of the host ``flights``."""
    options = [("grpc.default_authority", f"flights.localhost:{gateway.port}"), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{gateway.port}", options) as found:
        yield found


def infer(channel: grpc.Channel) -> Callable[..., bytes]:
    return channel.unary_unary(f"/{SERVICE}/ModelInfer")


def both(rest: Upstream, to: dict[str, object], **more: object) -> list[dict[str, object]]:
    """REST on the host, and gRPC on its path."""
    return [
        {"host": "flights", "upstreams": [{"address": rest.address}], "sign_in": False},
        {
            "host": "flights",
            "paths": [f"/{SERVICE}"],
            "upstreams": [{**to, "protocol": "h2c"}],
            "sign_in": False,
            **more,
        },
    ]


def test_grpc_and_rest_share_a_host(
    gateway: Gateway, upstream: Upstream, grpc_upstream: GrpcUpstream, channel: grpc.Channel
) -> None:
    gateway.client.put_routes("flights", both(upstream, {"address": grpc_upstream.address, "name": "f-1"}))
    answer, call = infer(channel).with_call(b"12345", metadata=[("x-request-id", "prediction-7")], timeout=5)
    assert answer == b"first 5"
    assert dict(call.trailing_metadata())["x-upstream"] == "first"
    assert grpc_upstream.seen[0]["x-request-id"] == "prediction-7"
    assert gateway.request("flights", "/v2/models/flights").json()["upstream"] == "first"
    assert gateway.client.statistics()["flights/f-1/h2c"]["requests"] == 1


def test_an_error_of_the_server_arrives_as_it_is(
    gateway: Gateway, upstream: Upstream, grpc_upstream: GrpcUpstream, channel: grpc.Channel
) -> None:
    gateway.client.put_routes("flights", both(upstream, {"address": grpc_upstream.address}))
    with pytest.raises(grpc.RpcError) as refusal:
        infer(channel)(b"fail", timeout=5)
    assert refusal.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == "no such tensor"


def test_a_stream_answers_message_by_message(
    gateway: Gateway, upstream: Upstream, grpc_upstream: GrpcUpstream, channel: grpc.Channel
) -> None:
    # A limit on bodies must not make the gateway wait for the end of a stream.
    route = both(upstream, {"address": grpc_upstream.address}, max_body=1000, timeout=5)
    gateway.client.put_routes("flights", route)
    answered = threading.Event()
    answered.set()

    def messages() -> Iterator[bytes]:
        for turn in range(3):
            assert answered.wait(5)
            answered.clear()
            yield str(turn).encode()

    found = []
    for answer in channel.stream_stream(f"/{SERVICE}/ModelStreamInfer")(messages(), timeout=10):
        found.append(answer)
        answered.set()
    assert found == [b"first 0", b"first 1", b"first 2"]


def test_the_gateways_own_answers_are_grpcs_too(
    gateway: Gateway, upstream: Upstream, grpc_upstream: GrpcUpstream, channel: grpc.Channel
) -> None:
    gateway.client.put_routes("flights", both(upstream, {"address": f"127.0.0.1:{free_port()}"}))
    with pytest.raises(grpc.RpcError) as refusal:
        infer(channel)(b"x", timeout=5)
    assert refusal.value.code() == grpc.StatusCode.UNAVAILABLE
    gateway.client.put_routes("flights", both(upstream, {"address": grpc_upstream.address}, timeout=0.2))
    with pytest.raises(grpc.RpcError) as refusal:
        infer(channel)(b"slow", timeout=5)
    assert refusal.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_replicas_share_the_calls_of_one_connection(
    gateway: Gateway,
    upstream: Upstream,
    grpc_upstream: GrpcUpstream,
    second_grpc_upstream: GrpcUpstream,
    channel: grpc.Channel,
) -> None:
    addresses = [grpc_upstream.address, second_grpc_upstream.address]
    gateway.client.put_routes("flights", both(upstream, {"addresses": addresses}))
    found = {infer(channel)(b"x", timeout=5) for _ in range(40)}
    assert found == {b"first 1", b"second 1"}


def test_a_replica_that_is_gone_costs_no_call(
    gateway: Gateway, upstream: Upstream, grpc_upstream: GrpcUpstream, channel: grpc.Channel
) -> None:
    addresses = [f"127.0.0.1:{free_port()}", grpc_upstream.address]
    gateway.client.put_routes("flights", both(upstream, {"addresses": addresses}))
    assert [infer(channel)(b"x", timeout=5) for _ in range(20)] == [b"first 1"] * 20


def test_a_header_leads_calls_elsewhere(
    gateway: Gateway,
    upstream: Upstream,
    grpc_upstream: GrpcUpstream,
    second_grpc_upstream: GrpcUpstream,
    channel: grpc.Channel,
) -> None:
    routes = both(upstream, {"address": grpc_upstream.address})
    canary = both(
        upstream,
        {"address": second_grpc_upstream.address},
        when={"header": "x-canary", "value": "always"},
    )
    gateway.client.put_routes("flights", [*routes, canary[1]])
    assert infer(channel)(b"x", timeout=5) == b"first 1"
    assert infer(channel)(b"x", timeout=5, metadata=[("x-canary", "always")]) == b"second 1"


def test_a_shadow_sees_the_call_and_is_told_that_it_is_one(
    gateway: Gateway,
    upstream: Upstream,
    grpc_upstream: GrpcUpstream,
    second_grpc_upstream: GrpcUpstream,
    channel: grpc.Channel,
) -> None:
    mirror = {"address": second_grpc_upstream.address, "protocol": "h2c"}
    gateway.client.put_routes("flights", both(upstream, {"address": grpc_upstream.address}, mirrors=[mirror]))
    assert infer(channel)(b"x", timeout=5) == b"first 1"
    wait_until(lambda: len(second_grpc_upstream.seen) == 1, 5, "the shadow was called")
    (primary,), (shadow,) = grpc_upstream.seen, second_grpc_upstream.seen
    assert shadow["x-request-id"] == primary["x-request-id"]
    assert shadow["x-millpond-shadow"] == "true"
    assert "x-millpond-shadow" not in primary


@pytest.mark.parametrize("behaviour", [None, shadows.hang, shadows.never_read, shadows.wrong])
def test_a_call_waits_for_no_shadow(
    gateway: Gateway,
    upstream: Upstream,
    grpc_upstream: GrpcUpstream,
    channel: grpc.Channel,
    behaviour: shadows.Behaviour | None,
) -> None:
    def seconds(count: int, size: int) -> float:
        before = time.monotonic()
        for _ in range(count):
            assert infer(channel)(bytes(size), timeout=5) == f"first {size}".encode()
        return time.monotonic() - before

    gateway.client.put_routes("flights", both(upstream, {"address": grpc_upstream.address}))
    alone = seconds(50, 10), seconds(5, 16 << 20)
    with shadows.shadow(behaviour) as address:
        mirrors = [{"address": address, "protocol": "h2c"}]
        gateway.client.put_routes(
            "flights", both(upstream, {"address": grpc_upstream.address}, mirrors=mirrors)
        )
        beside = seconds(50, 10), seconds(5, 16 << 20)
        gateway.client.put_routes("flights", [])
    # A call that waited would end after its five seconds.
    assert beside[0] < alone[0] * 3 + 0.5
    assert beside[1] < alone[1] * 4 + 1.0
