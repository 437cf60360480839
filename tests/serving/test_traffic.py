"""Shares of the traffic, and the routes that say them: what a gateway is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from millpond.gateway.document import parse_routes
from millpond.serving.controller.store import Record, Replica, Revision
from millpond.serving.controller.traffic import routes, shares

P = "serving.millpond.dev/"


def revision(number: int, *ports: int, grpc: bool = False) -> Revision:
    replicas = [Replica(n, port, port + 100 if grpc else 0) for n, port in enumerate(ports)]
    return Revision(f"iris-{number:05d}", number, str(number), "models:/iris", "d", "now", replicas=replicas)


def record(*revisions: Revision, percent: int = 0, **annotations: str) -> Record:
    found = Record("iris", "default", {}, "uid", "now", revisions=list(revisions))
    found.active = revisions[0].name
    if len(revisions) > 1:
        found.candidate = revisions[1].name
    found.percent = percent
    found.annotations = {P + key.replace("_", "-"): value for key, value in annotations.items()}
    return found


def planned(found: Record, *down: str, router: int | None = 9000) -> list[dict[str, Any]]:
    ready = {service for item in found.revisions for service in item.services} - set(down)
    wanted = routes(found, shares(found, ready), router)
    parse_routes({"routes": wanted})  # what the gateway itself would refuse
    return wanted


def weights(route: dict[str, Any]) -> dict[str, int]:
    return {" ".join(item["addresses"]): item["weight"] for item in route["upstreams"]}


def test_one_revision_has_everything_at_both_hosts() -> None:
    own, shared = planned(record(revision(1, 2001, 2002)), router=None)
    assert (own["host"], shared["host"]) == ("iris", "serving")
    assert weights(own) == weights(shared) == {"127.0.0.1:2001 127.0.0.1:2002": 100}
    assert "/v1/models/iris:predict" in shared["paths"] and "/v2/models/iris" in shared["paths"]


def test_a_candidate_stands_first_with_its_share() -> None:
    own = planned(record(revision(1, 2001), revision(2, 2002), percent=10, sticky="cookie"))[0]
    assert list(weights(own).items()) == [("127.0.0.1:2002", 10), ("127.0.0.1:2001", 90)]
    assert own["sticky"]["cookie"] == "millpond-iris-iris-00002" and "header" not in own["sticky"]


def test_a_candidate_that_is_not_ready_gets_nothing() -> None:
    found = record(revision(1, 2001), revision(2, 2002), percent=60, mirror="100", sticky="header:x-user")
    own = planned(found, "serving-iris-00002")[0]
    assert weights(own) == {"127.0.0.1:2001": 100}
    assert "mirrors" not in own and "sticky" not in own


def test_a_shadow_gets_copies_and_no_traffic() -> None:
    own = planned(record(revision(1, 2001), revision(2, 2002), mirror="50"))[0]
    assert weights(own) == {"127.0.0.1:2001": 100}
    assert own["mirrors"] == [{"name": "iris-00002", "addresses": ["127.0.0.1:2002"], "percent": 50}]


def test_a_request_can_name_its_revision_and_the_canary_its_header() -> None:
    found = record(revision(1, 2001), revision(2, 2002), canary_header="x-beta=yes")
    chosen = [
        (route["when"]["header"], route["when"]["value"], route["upstreams"][0]["addresses"][0][-4:])
        for route in planned(found)
        if "when" in route and route["host"] == "iris"
    ]
    assert sorted(chosen) == [
        ("x-beta", "yes", "2002"),
        ("x-revision", "iris-00001", "2001"),
        ("x-revision", "iris-00002", "2002"),
    ]


def test_requests_wait_at_the_router_while_no_process_answers() -> None:
    found = record(revision(1, 2001))
    assert weights(planned(found, "serving-iris-00001")[0]) == {"127.0.0.1:9000": 100}
    assert planned(found, "serving-iris-00001", router=None) == []
    found.revisions[0].replicas = []
    assert weights(planned(found)[0]) == {"127.0.0.1:9000": 100}


def test_clients_of_seldon_are_led_to_the_router() -> None:
    found = planned(record(revision(1, 2001)))
    led = {route["paths"][0]: route["upstreams"][0]["addresses"] for route in found[2:]}
    assert led == {"/api": ["127.0.0.1:9000"], "/seldon/default/iris": ["127.0.0.1:9000"]}


def test_a_replica_that_is_down_is_left_out() -> None:
    found = record(revision(1, 2001, 2002))
    assert weights(planned(found, "serving-iris-00001.1")[0]) == {"127.0.0.1:2001": 100}


@pytest.mark.parametrize("percent", [0, 30])
def test_grpc_has_routes_of_its_own(percent: int) -> None:
    found = record(revision(1, 2001, grpc=True), revision(2, 2002, grpc=True), percent=percent)
    grpc = next(
        route for route in planned(found) if "/inference.GRPCInferenceService" in route.get("paths", ())
    )
    assert grpc["upstreams"][-1] == {
        "name": "iris-00001",
        "addresses": ["127.0.0.1:2101"],
        "weight": 100 - percent,
        "protocol": "h2c",
    }
    assert len(grpc["upstreams"]) == (2 if percent else 1)
