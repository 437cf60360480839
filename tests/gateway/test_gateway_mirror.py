"""Mirrors: the shadow sees what the primary sees, and the client never notices that there is one."""

from __future__ import annotations

import statistics
import time

import pytest
import requests
import shadows
from millpond_gateway import Gateway, Upstream, wait_until


def mirrored(upstream: Upstream, *mirrors: dict[str, object], **more: object) -> list[dict[str, object]]:
    primary = [{"address": upstream.address}]
    return [{"host": "flights", "upstreams": primary, "mirrors": list(mirrors), "sign_in": False, **more}]


def test_the_shadow_sees_the_same_request_by_a_host_of_its_own(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    upstream.seen.clear()
    second_upstream.seen.clear()
    gateway.client.put_routes("flights", mirrored(upstream, {"address": second_upstream.address}))
    forged = {"x-millpond-shadow": "true"}
    found = gateway.request(
        "flights", "/v2/models/flights/infer", "POST", data=b'{"inputs": []}', headers=forged
    )
    assert found.json()["upstream"] == "first"
    wait_until(lambda: len(second_upstream.seen) == 1, 5, "the shadow was asked")
    (primary,), (shadow,) = upstream.seen, second_upstream.seen
    assert primary["host"] == f"flights.localhost:{gateway.port}"
    assert shadow["host"] == f"flights.localhost-shadow:{gateway.port}"
    assert primary["x-millpond-shadow"] is None
    assert shadow["x-millpond-shadow"] == "true"
    assert primary["x-request-id"] == shadow["x-request-id"] != ""
    assert shadow["content-length"] == "14"


def test_the_clients_own_request_id_reaches_both(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    second_upstream.seen.clear()
    gateway.client.put_routes("flights", mirrored(upstream, {"address": second_upstream.address}))
    found = gateway.request("flights", headers={"x-request-id": "prediction-7"})
    assert found.json()["headers"]["x-request-id"] == "prediction-7"
    wait_until(lambda: len(second_upstream.seen) == 1, 5, "the shadow was asked")
    assert second_upstream.seen[0]["x-request-id"] == "prediction-7"


def test_a_part_of_the_requests_is_copied(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    with requests.Session() as session:
        for percent, least, most in ((25, 100, 200), (0, 0, 0), (100, 600, 600)):
            mirror = {"address": second_upstream.address, "percent": percent, "name": f"shadow-{percent}"}
            gateway.client.put_routes("flights", mirrored(upstream, mirror))
            for _ in range(600):
                assert gateway.request("flights", session=session).json()["upstream"] == "first"
            name = f"flights/shadow-{percent}/shadow"
            wait_until(lambda name=name: gateway.client.statistics()[name]["active"] == 0, 5, "idle")
            assert least <= gateway.client.statistics()[name]["requests"] <= most


def test_a_mirror_may_be_an_upstream_too(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    route = mirrored(upstream, {"address": second_upstream.address})[0]
    both = [{"address": upstream.address, "weight": 1}, {"address": second_upstream.address, "weight": 1}]
    gateway.client.put_routes("flights", [route | {"upstreams": both}])
    second_upstream.seen.clear()
    answers = [gateway.request("flights").json()["upstream"] for _ in range(30)]
    assert set(answers) == {"first", "second"}
    wait_until(lambda: len(second_upstream.seen) == 30 + answers.count("second"), 5, "all were copied")


def test_several_shadows_each_get_a_copy(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    third = Upstream("third")
    try:
        mirrors = [{"address": second_upstream.address}, {"address": third.address}]
        gateway.client.put_routes("flights", mirrored(upstream, *mirrors))
        second_upstream.seen.clear()
        for _ in range(5):
            gateway.request("flights")
        wait_until(lambda: (len(second_upstream.seen), len(third.seen)) == (5, 5), 5, "both were asked")
    finally:
        third.shutdown()
        third.server_close()


def latencies(
    gateway: Gateway, count: int, *hosts: str, body: bytes = b'{"inputs": []}'
) -> tuple[list[float], ...]:
    """Seconds that requests take, for each host; they take turns, so that the machine's mood meets all."""
    found: tuple[list[float], ...] = tuple([] for _ in hosts)
    with requests.Session() as session:
        for _ in range(count):
            for host, seconds in zip(hosts, found, strict=True):
                before = time.perf_counter()
                answer = gateway.request(host, "/infer", "POST", data=body, session=session)
                seconds.append(time.perf_counter() - before)
                assert answer.status_code == 200
                assert answer.json()["upstream"] == "first"
                assert answer.json()["size"] == len(body)
    return found


def with_and_without(upstream: Upstream, mirror: dict[str, object]) -> list[dict[str, object]]:
    """The same route twice: ``alone`` has no mirror, ``flights`` has one."""
    return [mirrored(upstream)[0] | {"host": "alone"}, *mirrored(upstream, mirror)]


@pytest.mark.parametrize("behaviour", shadows.BEHAVIOURS)
def test_the_client_waits_for_no_shadow(gateway: Gateway, upstream: Upstream, behaviour: str) -> None:
    with shadows.shadow(shadows.BEHAVIOURS[behaviour]) as address:
        mirror = {"address": address, "name": "bad"}
        gateway.client.put_routes("flights", with_and_without(upstream, mirror))
        alone, beside = latencies(gateway, 100, "alone", "flights")
        counted = gateway.client.statistics()["flights/bad/shadow"]
        assert counted["requests"] + counted["connect_failures"] >= 90
        gateway.client.put_routes("flights", [])
    # An answer that waited for a shadow would be later by what the shadow takes: 300 ms, or for ever. What is
    # allowed is the work of copying, on a machine that has other things to do.
    assert statistics.median(beside) < statistics.median(alone) * 2 + 0.005
    assert sorted(beside)[94] < sorted(alone)[94] * 3 + 0.05


@pytest.mark.parametrize("behaviour", ["hang", "never_read", "hang_up", "failing"])
def test_a_large_body_waits_for_no_shadow(gateway: Gateway, upstream: Upstream, behaviour: str) -> None:
    with shadows.shadow(shadows.BEHAVIOURS[behaviour]) as address:
        gateway.client.put_routes("flights", with_and_without(upstream, {"address": address}))
        alone, beside = latencies(gateway, 3, "alone", "flights", body=bytes(32 << 20))
        gateway.client.put_routes("flights", [])
    # One that waited would be there never. The shadow reads in this process, which is also the upstream's.
    assert min(beside) < min(alone) * 4 + 0.3


def test_a_large_body_reaches_the_shadow_whole(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    mirror = {"address": second_upstream.address, "name": "whole"}
    gateway.client.put_routes("flights", mirrored(upstream, mirror))
    second_upstream.seen.clear()
    second_upstream.sizes.clear()
    body = bytes(8 << 20)
    latencies(gateway, 1, "flights", body=body)
    wait_until(lambda: bool(second_upstream.seen), 5, "the shadow has read it")
    assert second_upstream.sizes == [len(body)]


@pytest.mark.slow
def test_a_shadow_that_hangs_holds_no_more_than_its_share(gateway: Gateway, upstream: Upstream) -> None:
    with shadows.shadow(shadows.hang) as address:
        mirror = {"address": address, "name": "hanging"}
        gateway.client.put_routes("flights", mirrored(upstream, mirror, timeout=2))
        latencies(gateway, 700, "flights")
        found = gateway.client.statistics()["flights/hanging/shadow"]
        assert found["active"] <= 256
        assert found["overflow"] > 0
        # What hangs is given up after the route's time limit.
        wait_until(
            lambda: gateway.client.statistics()["flights/hanging/shadow"]["active"] == 0, 10, "given up"
        )
        gateway.client.put_routes("flights", [])
