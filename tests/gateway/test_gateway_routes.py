"""Which routes are refused, and in which words."""

from __future__ import annotations

import pytest

from millpond.gateway.access import host_of
from millpond.gateway.routes import (
    HostTakenError,
    Route,
    RouteError,
    RouteTable,
    Upstream,
    parse_owner,
    parse_routes,
)

GOOD = {"host": "mlflow", "upstreams": [{"address": "127.0.0.1:5000"}]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"host": "MLflow"}, "'MLflow' is not a host name"),
        ({"host": "a.b"}, "'a.b' is not a host name"),
        ({"host": "-a"}, "'-a' is not a host name"),
        ({"host": "a" * 64}, "is not a host name"),
        ({"host": "gateway"}, "belongs to the gateway itself"),
        ({"upstreams": []}, "not a list of at least one"),
        ({"upstreams": [{"address": "127.0.0.1"}]}, "'127.0.0.1' is not an address"),
        ({"upstreams": [{"address": "127.0.0.1:0"}]}, "is not an address"),
        ({"upstreams": [{"address": "[1::2::3]:80"}]}, "is not an address"),
        ({"upstreams": [{"address": "a:1", "weight": -1}]}, "weight -1"),
        ({"upstreams": [{"address": "a:1", "weight": True}]}, "weight True"),
        ({"upstreams": [{"address": "a:1", "weight": 0}]}, "add up to 0"),
        ({"upstreams": [{"address": "a:1"}, {"address": "a:1"}]}, "named twice"),
        ({"upstreams": [{"address": "a:1", "protocol": "h3"}]}, "unknown protocol 'h3'"),
        ({"sign_in": "no"}, "neither true nor false"),
        ({"signin": False}, "unknown key 'signin'"),
        ({"sign_in": False, "headers": {"authorization": "Basic x"}}, "would sign everybody in upstream"),
        ({"headers": {"cookie": "a=b"}}, "'cookie' cannot be set"),
        ({"headers": {"x-millpond-user": "root"}}, "'x-millpond-user' cannot be set"),
        ({"headers": {"authorization": "Basic x\r\nx-a: b"}}, "not printable ASCII"),
        ({"paths": []}, "paths is neither null nor a list"),
        ({"paths": ["v2"]}, "'v2' is not a path"),
        ({"paths": ["/a/../b"]}, "is not a path"),
        ({"paths": ["/a?b"]}, "is not a path"),
        ({"rewrite": "\\1"}, "is not a path"),
    ],
)
def test_a_route_that_cannot_be_is_refused_by_name(change: dict[str, object], reason: str) -> None:
    with pytest.raises(RouteError) as refusal:
        parse_routes({"routes": [GOOD | change]})
    assert reason in refusal.value.message
    assert "routes[0]" in refusal.value.message


def test_the_contracts_own_form_is_taken() -> None:
    (route,) = parse_routes(
        {
            "routes": [
                GOOD
                | {
                    "upstreams": [{"address": "[::1]:5000", "weight": 100}],
                    "headers": {"Authorization": "Basic x"},
                    "sign_in": True,
                    "paths": None,
                    "rewrite": None,
                }
            ]
        }
    )
    assert route.upstreams[0].parts == ("::1", 5000)
    assert route.headers == {"authorization": "Basic x"}
    assert "Basic" not in repr(route)


def test_an_owner_has_a_plain_name() -> None:
    assert parse_owner("serving.default_1") == "serving.default_1"
    with pytest.raises(RouteError):
        parse_owner("../x")


def test_a_host_has_one_owner_and_one_policy() -> None:
    table = RouteTable().replace("one", [Route("a", (Upstream("h:1"),))])
    with pytest.raises(RouteError, match="already one's"):
        table.replace("two", [Route("a", (Upstream("h:2"),), paths=("/x",))])
    with pytest.raises(RouteError, match="twice"):
        table.replace("one", [Route("a", (Upstream("h:1"),))] * 2)
    with pytest.raises(RouteError, match="both open and behind"):
        table.replace(
            "one",
            [Route("a", (Upstream("h:1"),)), Route("a", (Upstream("h:1"),), sign_in=False, paths=("/x",))],
        )
    assert table.replace("one", []).owners == {}


def test_the_longest_prefix_of_whole_segments_wins() -> None:
    long, short = (
        Route("a", (Upstream("h:1"),), paths=("/x/y",)),
        Route("a", (Upstream("h:2"),), paths=("/x",)),
    )
    table = RouteTable().replace("one", [short, long])
    assert table.find("a", "/x/y/z") is long
    assert table.find("a", "/x/yz") is short
    assert table.find("a", "/") is None
    assert table.find("b", "/x") is None


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("mlflow.localhost:8080", "mlflow"),
        ("MLFLOW.Localhost", "mlflow"),
        ("localhost:8080", "localhost"),
        ("localhost.localhost", None),
        ("a.b.localhost", None),
        (".localhost", None),
        ("mlflow.localhost.evil.example", None),
        ("127.0.0.1:8080", None),
        ("[::1]:8080", None),
        ("", None),
    ],
)
def test_only_names_of_ours_are_hosts(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


def test_owners_share_an_open_host_by_different_paths() -> None:
    def routes(*paths: str, sign_in: bool = False) -> tuple[Route, ...]:
        upstream = {"address": "127.0.0.1:5000", "weight": 100}
        one = {"host": "serving", "upstreams": [upstream], "sign_in": sign_in, "paths": list(paths) or None}
        return parse_routes({"routes": [one]})

    table = RouteTable().replace("first", routes("/v2/models/a")).replace("second", routes("/v2/models/b"))
    found = [table.find("serving", path) for path in ("/v2/models/a/infer", "/v2/models/b", "/v2/models/c")]
    assert [route is not None for route in found] == [True, True, False]
    for refused in (routes("/v2/models/a"), routes(), routes("/v2/models/c", sign_in=True)):
        with pytest.raises(HostTakenError, match="already first's"):
            table.replace("third", refused)
