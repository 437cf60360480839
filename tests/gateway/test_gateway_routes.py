"""Which routes are refused, and in which words."""

from __future__ import annotations

import pytest

from millpond.gateway.document import parse_owner, parse_routes
from millpond.gateway.routes import HostTakenError, Route, RouteError, RouteTable, Upstream
from millpond.gateway.xds import Site

SITE = Site(8080, "/x", "/a", "/b", ipv6=False, access_log=False)
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
        ({"upstreams": [{"addresses": []}]}, "addresses is not a list of at least one"),
        ({"upstreams": [{"addresses": ["a:1", "a:1"]}]}, "upstreams[0]: an address is there twice"),
        ({"upstreams": [{"address": "a:1", "addresses": ["b:1"]}]}, "both address and addresses"),
        ({"upstreams": [{"addresses": ["a:1", "b:1"]}, {"address": "b:1"}]}, "an upstream is named twice"),
        ({"upstreams": [{"address": "a:1", "name": "x"}, {"address": "b:1", "name": "x"}]}, "named twice"),
        ({"upstreams": [{"address": "a:1", "name": "x/y"}]}, "'x/y' is not a name"),
        ({"mirrors": {"address": "a:1"}}, "mirrors is not a list"),
        ({"mirrors": [{"address": "a"}]}, "mirrors[0]: 'a' is not an address"),
        ({"mirrors": [{"address": "a:1", "percent": 101}]}, "percent: 101 is not a number of percent from 0"),
        ({"mirrors": [{"address": "a:1", "percent": -0.1}]}, "percent: -0.1"),
        ({"mirrors": [{"address": "a:1", "percent": float("nan")}]}, "percent: nan"),
        ({"mirrors": [{"address": "a:1", "percent": True}]}, "percent: True"),
        ({"mirrors": [{"address": "a:1", "weight": 1}]}, "mirrors[0]: unknown key 'weight'"),
        ({"mirrors": [{"address": "a:1"}, {"address": "a:1"}]}, "a mirror is named twice"),
        ({"sticky": {"cookie": "arm"}}, "sticky needs several upstreams"),
        ({"sticky": {}}, "neither a cookie nor a header"),
        ({"sticky": {"cookie": "a b"}}, "'a b' is not a cookie's name"),
        ({"sticky": {"cookie": "millpond_session_8080"}}, "is not a cookie's name"),
        ({"sticky": {"cookie": "arm", "seconds": -1}}, "seconds: -1 is not a whole number of seconds"),
        ({"sticky": {"header": "x-user", "seconds": 60}}, "seconds is for a cookie, and there is none"),
        ({"sticky": {"header": "x-forwarded-for"}}, "sticky: the header x-forwarded-for never arrives"),
        ({"sticky": {"header": "x user"}}, "'x user' is not a header's name"),
        ({"sticky": {"cookie": "arm", "salt": ""}}, "salt '' is not a name"),
        ({"when": {"value": "x"}}, "when: None is not a header's name"),
        ({"when": {"header": "x-canary"}}, "behind the sign-in cannot depend on a header"),
        ({"when": {"header": "cookie", "value": "a=b"}}, "the header cookie holds secrets"),
        ({"when": {"header": "x-millpond-user"}}, "never arrives"),
        ({"when": {"header": "x-canary", "value": "a\nb"}}, "is not printable ASCII"),
        ({"when": {"header": "x-canary", "value": ""}}, "is not printable ASCII"),
        ({"when": "x-canary"}, "when is not an object"),
        ({"timeout": -1}, "timeout: -1 is not a number of seconds from 0 to 86400"),
        ({"timeout": "5s"}, "timeout: '5s'"),
        ({"max_body": 0}, "max_body: 0 is not a whole number of bytes"),
        ({"max_body": 1.5}, "max_body: 1.5"),
        ({"body_timeout": None, "max_body": True}, "max_body: True"),
        ({"body_timeout": "1m"}, "body_timeout: '1m'"),
        (
            {"upstreams": [{"address": "a:1", "protocol": "h2c"}], "mirrors": [{"address": "b:1"}]},
            "mirrors[0]: an http1 mirror beside an h2c upstream",
        ),
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
    assert route.upstreams[0].addresses == ("[::1]:5000",)
    assert route.headers == {"authorization": "Basic x"}
    assert "Basic" not in repr(route)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"mirror": []}, "mirrors"),
        ({"timeuot": 1}, "timeout"),
        ({"upstreams": [{"adress": "a:1"}]}, "address"),
        ({"sticky": {"cokie": "arm"}}, "cookie"),
        ({"when": {"headr": "x-canary"}}, "header"),
        ({"mirrors": [{"address": "a:1", "percnt": 1}]}, "percent"),
    ],
)
def test_a_key_that_is_nearly_right_is_answered_with_the_right_one(
    change: dict[str, object], hint: str
) -> None:
    with pytest.raises(RouteError, match="unknown key") as refusal:
        parse_routes({"routes": [GOOD | change]})
    assert hint in (refusal.value.hint or "")


def test_what_is_kept_reads_back_as_the_same_routes() -> None:
    full = {
        "host": "flights",
        "upstreams": [
            {"addresses": ["127.0.0.1:1", "[::1]:2"], "weight": 95, "name": "flights-3"},
            {"address": "127.0.0.1:3", "weight": 5, "protocol": "h2c"},
        ],
        "sign_in": False,
        "paths": ["/v1/models/flights:predict", "/v2/models/flights"],
        "mirrors": [
            {"address": "127.0.0.1:3", "percent": 12.5, "protocol": "h2c", "name": "flights-4"},
            {"addresses": ["127.0.0.1:4", "a:5"], "protocol": "h2c"},
        ],
        "sticky": {"cookie": "arm", "seconds": 60, "header": "X-User-Id", "salt": "autumn"},
        "when": {"header": "X-Canary", "value": "always"},
        "timeout": 2.5,
        "max_body": 1 << 20,
        "body_timeout": 10,
    }
    routes = parse_routes({"routes": [full, GOOD]})
    assert parse_routes({"routes": [route.as_dict(secrets=True) for route in routes]}) == routes
    assert routes[0].when is not None
    assert routes[0].when.header == "x-canary"


def test_two_routes_may_differ_by_a_header_alone() -> None:
    def routes(*whens: object) -> tuple[Route, ...]:
        return parse_routes({"routes": [GOOD | {"sign_in": False, "when": when} for when in whens]})

    always, present = {"header": "x-canary", "value": "always"}, {"header": "x-canary", "value": None}
    assert RouteTable().replace("one", routes(None, always, present)).hosts()
    with pytest.raises(
        RouteError, match=r"routes\[2\] \(mlflow\): / \(when x-canary: always\) is routes\[1\]'s"
    ):
        routes(None, always, always)
    with pytest.raises(HostTakenError, match="already one's"):
        RouteTable().replace("one", routes(None)).replace("two", routes(always))


def test_an_owner_has_a_plain_name() -> None:
    assert parse_owner("serving.default_1") == "serving.default_1"
    with pytest.raises(RouteError):
        parse_owner("../x")


def test_a_host_has_one_owner_and_one_policy() -> None:
    table = RouteTable().replace("one", [Route("a", (Upstream(("h:1",)),))])
    with pytest.raises(RouteError, match="already one's"):
        table.replace("two", [Route("a", (Upstream(("h:2",)),), paths=("/x",))])
    with pytest.raises(RouteError, match="twice"):
        table.replace("one", [Route("a", (Upstream(("h:1",)),))] * 2)
    with pytest.raises(RouteError, match="both open and behind"):
        table.replace(
            "one",
            [
                Route("a", (Upstream(("h:1",)),)),
                Route("a", (Upstream(("h:1",)),), sign_in=False, paths=("/x",)),
            ],
        )
    assert table.replace("one", []).owners == {}


def test_the_longest_prefix_of_whole_segments_wins() -> None:
    long, short = (
        Route("a", (Upstream(("h:1",)),), paths=("/x/y",)),
        Route("a", (Upstream(("h:2",)),), paths=("/x",)),
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
    assert SITE.host_of(authority) == host


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
