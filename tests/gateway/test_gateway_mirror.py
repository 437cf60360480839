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


def latencies(gateway: Gateway, count: int, body: bytes = b'{"inputs": []}') -> list[float]:
    """Seconds that each of a number of requests takes, one after the other on one connection."""
    found = []
    with requests.Session() as session:
        for _ in range(count):
            before = time.perf_counter()
            answer = gateway.request("flights", "/infer", "POST", data=body, session=session)
            found.append(time.perf_counter() - before)
            assert answer.status_code == 200
            assert answer.json()["upstream"] == "first"
            assert answer.json()["size"] == len(body)
    return found


BEHAVIOURS = [
    *(None, shadows.hang, shadows.never_read, shadows.wrong),
    *(shadows.failing, shadows.hang_up, shadows.dribble),
]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda found: getattr(found, "__name__", "nobody"))
def test_the_client_waits_for_no_shadow(
    gateway: Gateway, upstream: Upstream, behaviour: shadows.Behaviour | None
) -> None:
    gateway.client.put_routes("flights", mirrored(upstream))
    alone = latencies(gateway, 100)
    with shadows.shadow(behaviour) as address:
        gateway.client.put_routes("flights", mirrored(upstream, {"address": address, "name": "bad"}))
        beside = latencies(gateway, 100)
        counted = gateway.client.statistics()["flights/bad/shadow"]
        assert counted["requests"] + counted["connect_failures"] >= 90
        gateway.client.put_routes("flights", mirrored(upstream))
    # An answer that waited for a shadow would be later by what the shadow takes, which is for ever for most
    # of them; what is allowed is the copy's own work, on a machine that has other things to do.
    assert statistics.median(beside) < statistics.median(alone) * 2 + 0.002
    assert sorted(beside)[94] < sorted(alone)[94] * 3 + 0.02


@pytest.mark.parametrize("behaviour", [shadows.hang, shadows.never_read, shadows.hang_up, shadows.failing])
def test_a_large_body_waits_for_no_shadow(
    gateway: Gateway, upstream: Upstream, behaviour: shadows.Behaviour
) -> None:
    body = bytes(32 << 20)
    gateway.client.put_routes("flights", mirrored(upstream))
    alone = latencies(gateway, 3, body)
    with shadows.shadow(behaviour) as address:
        gateway.client.put_routes("flights", mirrored(upstream, {"address": address}))
        beside = latencies(gateway, 3, body)
        gateway.client.put_routes("flights", mirrored(upstream))
    assert min(beside) < min(alone) * 3 + 0.05


def test_a_large_body_reaches_the_shadow_whole(
    gateway: Gateway, upstream: Upstream, second_upstream: Upstream
) -> None:
    mirror = {"address": second_upstream.address, "name": "whole"}
    gateway.client.put_routes("flights", mirrored(upstream, mirror))
    second_upstream.seen.clear()
    second_upstream.sizes.clear()
    body = bytes(8 << 20)
    latencies(gateway, 1, body)
    wait_until(lambda: bool(second_upstream.seen), 5, "the shadow has read it")
    assert second_upstream.sizes == [len(body)]


@pytest.mark.slow
def test_a_shadow_that_hangs_holds_no_more_than_its_share(gateway: Gateway, upstream: Upstream) -> None:
    with shadows.shadow(shadows.hang) as address:
        mirror = {"address": address, "name": "hanging"}
        gateway.client.put_routes("flights", mirrored(upstream, mirror, timeout=2))
        latencies(gateway, 700)
        found = gateway.client.statistics()["flights/hanging/shadow"]
        assert found["active"] <= 256
        assert found["overflow"] > 0
        # What hangs is given up after the route's time limit.
        wait_until(
            lambda: gateway.client.statistics()["flights/hanging/shadow"]["active"] == 0, 10, "given up"
        )
        gateway.client.put_routes("flights", [])
