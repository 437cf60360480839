"""The Gateway API shares requests out as the platform's own gateway does on one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.gateway.document import parse_routes
from millpond.model.cluster import Routes
from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.cluster import routes
from millpond.serving.controller import traffic
from millpond.serving.controller.store import Record

from .conftest import context, record

Data = dict[str, Any]
SCHEMA = json.loads(Path(__file__).with_name("httproute.json").read_text())
NEW = edits.new("flights", "models:/flights/1")

documents = st.one_of(
    st.just((NEW, False)),
    st.tuples(
        st.builds(
            lambda percent, sticky, header: edits.canary(NEW, percent, sticky=sticky, header=header),
            st.integers(0, 99),
            st.sampled_from([None, "cookie"]),
            st.sampled_from([None, "x-beta", "x-beta=yes"]),
        ),
        st.just(True),
    ),
    st.tuples(st.builds(lambda percent: edits.shadow(NEW, percent), st.integers(1, 100)), st.just(True)),
)


def spoken(grpc: bool, document: Data) -> Data:
    found = json.loads(json.dumps(document))
    if grpc:
        found["spec"]["predictor"]["model"]["protocolVersion"] = "grpc-v2"
    return found


def on_one_machine(found: Record, ready: set[str]) -> list[Data]:
    """The routes that the controller puts: replicas by their ports."""
    services = {service for each in found.live if each.name in ready for service in each.services}
    return traffic.routes(found, traffic.shares(found, services), None)


def said(targets: list[Data], share: str) -> list[tuple[str, int]]:
    return [(target["name"], round(target[share])) for target in targets]


@settings(max_examples=150, deadline=None)
@given(documents, st.booleans(), st.booleans())
def test_weights_mirrors_and_headers_are_those_of_one_machine(
    case: tuple[Data, bool], grpc: bool, candidate_ready: bool
) -> None:
    document, beside = case
    found = record(spoken(grpc, document), 2, candidate=beside)
    ready = {each.name for each in found.live if candidate_ready or each.name != found.candidate}
    local = on_one_machine(found, ready)
    made = routes.http_routes(context(), found, ready)
    rules = [rule for each in made for rule in each["spec"]["rules"]]
    wanted = sorted(local, key=lambda route: route["host"] != found.name)
    assert len(rules) == len(wanted)
    for route, rule in zip(wanted, rules, strict=True):
        backends = [(each["name"], each["weight"]) for each in rule["backendRefs"]]
        expected = [(each["name"], each.get("weight", 100)) for each in route["upstreams"]]
        assert backends == expected
        mirrors = [
            (each["requestMirror"]["backendRef"]["name"], each["requestMirror"]["percent"])
            for each in rule.get("filters", ())
        ]
        assert mirrors == said(route.get("mirrors", []), "percent")
        assert ("sessionPersistence" in rule) == ("sticky" in route)
        when = route.get("when")
        headers = [header for match in rule["matches"] for header in match.get("headers", ())]
        assert bool(headers) == bool(when)
        if when:
            assert {header["name"] for header in headers} == {when["header"]}
        assert [match["path"]["value"] for match in rule["matches"]] == route.get("paths", ["/"])


@settings(max_examples=60, deadline=None)
@given(documents, st.booleans())
def test_every_route_fits_the_schema_and_the_platform_s_gateway_takes_the_same(
    case: tuple[Data, bool], grpc: bool
) -> None:
    document, beside = case
    found = record(spoken(grpc, document), 2, candidate=beside)
    ready = {each.name for each in found.live}
    for made in routes.http_routes(context(), found, ready):
        jsonschema.validate(made["spec"], SCHEMA)
    parse_routes({"routes": routes.gateway_routes(context(), found, ready)})


def test_a_route_names_gateway_host_and_services() -> None:
    found = record(edits.canary(NEW, 10), 2, candidate=True)
    made = routes.http_routes(context(), found, {each.name for each in found.live})
    own = made[0]["spec"]
    assert own["parentRefs"][0]["namespace"] == "infra"
    assert own["hostnames"] == ["flights.example.org"]
    assert [(b["name"], b["weight"]) for b in own["rules"][0]["backendRefs"]] == [
        ("flights-00002", 10),
        ("flights-00001", 90),
    ]
    assert made[1]["spec"]["hostnames"] == ["serving.example.org"]
    found = record(NEW)
    local = routes.gateway_routes(context(), found, {"flights-00001"})
    assert local[0]["upstreams"][0]["addresses"] == ["flights-00001.demo.svc:8080"]


def test_clients_stay_only_where_routes_can_keep_them() -> None:
    found = record(edits.canary(NEW, 10, sticky="cookie"), 2, candidate=True)
    with pytest.raises(MillpondError, match="no sessionPersistence"):
        routes.http_routes(context(sessions=False), found, set())


def test_nothing_leads_where_no_route_is_wanted() -> None:
    assert not context(Routes()).routed
    assert context(Routes(), gateway="gateway").routed
