"""Envoy's route table: virtual hosts, and in each the routes in the order in which they are tried."""

from __future__ import annotations

import itertools
import json
import re

from millpond.gateway.clusters import AGENT_CLUSTER, TYPES, Json, cluster_name
from millpond.gateway.routes import (
    GATEWAY_HOST,
    KEPT_BODY,
    LANDING_HOST,
    Match,
    Route,
    RouteTable,
    Sticky,
)
from millpond.gateway.xds import BUFFER, EXT_AUTHZ, OWN_PATHS, ROUTE_TABLE, Site

_ROUTES = TYPES + "config.route.v3.RouteConfiguration"
_AUTHZ_OFF: Json = {
    EXT_AUTHZ: {"@type": TYPES + "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True}
}
SHADOW_HEADER = "x-millpond-shadow"
"""Tells a shadow that it is one, as its host does; gRPC servers do not show their handlers the host."""

_MARKED: list[Json] = [
    {
        "append": {
            "header": {"key": SHADOW_HEADER, "value": "true"},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    }
]
# TLS ends before this entrance, which would tell upstreams of its own plain connection.
_OUTER_TLS: Json = {
    "header": {"key": "x-forwarded-proto", "value": "https"},
    "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
}
_PLAIN_ID = "[A-Za-z0-9._~:/+=@-]+"
"""Request ids that a cookie can hold. Clients may bring their own; another one is placed by chance."""

_RETRY: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
}
_LINE = 1_000_000
"""The length of the line on which sticky users stand; weights are made parts of it."""


def route_table(site: Site, table: RouteTable, unknown_page: str) -> Json:
    """Virtual hosts by name; the port in the Host header is left for the upstream and not looked at.

    Args:
        site: where.
        table: what.
        unknown_page: HTML for a name of the domain that nothing has.
    """
    hosts = table.hosts()
    known = [site.origin(host) for host in hosts]
    virtual = [_virtual_host(site, host, paths) for host, paths in hosts.items()]
    virtual.append(
        {
            "name": GATEWAY_HOST,
            "domains": [site.name(GATEWAY_HOST)],
            "routes": [_agent({"prefix": "/"}, sign_in=False)],
        }
    )
    if LANDING_HOST not in hosts:
        virtual.append(
            {
                "name": LANDING_HOST,
                "domains": [site.domain],
                "routes": [
                    _agent({"prefix": OWN_PATHS}, sign_in=False),
                    _agent({"path": "/"}, sign_in=True),
                    _answer(404, '{"error":"nothing is served at this path"}', "application/json"),
                ],
            }
        )
    listing = json.dumps({"error": "no such host", "known": known})
    virtual.append(
        {
            "name": "unknown",
            "domains": [f"*.{site.domain}"],
            "routes": [
                {
                    **_answer(404, unknown_page, "text/html; charset=utf-8"),
                    "match": {
                        "prefix": "/",
                        "headers": [{"name": "accept", "string_match": {"contains": "text/html"}}],
                    },
                },
                _answer(404, listing, "application/json"),
            ],
        }
    )
    # Whoever comes by another name (an address, or a name that a stranger's DNS points here) learns nothing.
    address = json.dumps({"error": "not a name of this gateway", "use": site.origin(LANDING_HOST)})
    virtual.append(
        {"name": "elsewhere", "domains": ["*"], "routes": [_answer(421, address, "application/json")]}
    )
    return {
        "@type": _ROUTES,
        "name": ROUTE_TABLE,
        "ignore_port_in_host_matching": True,
        "max_direct_response_body_size_bytes": 1 << 20,
        "virtual_hosts": virtual,
        **({"request_headers_to_add": [_OUTER_TLS]} if site.https else {}),
    }


def _virtual_host(site: Site, host: str, matches: dict[Match, Route]) -> Json:
    routes = []
    if any(route.sign_in for route in matches.values()):
        routes.append(_agent({"prefix": OWN_PATHS}, sign_in=False))
    for match in sorted(matches, key=lambda match: match.order):
        routes.extend(_upstream_routes(match, matches[match]))
    return {
        "name": f"host {host}",
        "domains": [site.name(host)],
        "routes": routes,
    }


def _upstream_routes(match: Match, route: Route) -> list[Json]:
    """A route as Envoy has it: what is too large first, then each way to know a user, then the rest."""
    routes = []
    largest = route.largest_body
    if largest is not None:
        large = {"start": largest + 1, "end": (1 << 63) - 1}
        routes.append(
            {
                "match": _match(match, {"name": "content-length", "range_match": large}),
                "direct_response": {"status": 413},
                "typed_per_filter_config": _AUTHZ_OFF,
            }
        )
    sticky = route.sticky
    if sticky is not None and sticky.header is not None:
        named = _match(match, {"name": sticky.header, "string_match": {"safe_regex": {"regex": ".+"}}})
        routes.append(_upstream_route(named, match, route, _by_header(sticky, sticky.header)))
    if sticky is not None and sticky.cookie is not None:
        having = f"(?:.*;)?\\s*{re.escape(sticky.cookie)}=[^;]+.*"
        known = _match(match, {"name": "cookie", "string_match": {"safe_regex": {"regex": having}}})
        routes.append(_upstream_route(known, match, route, {"cookie": {"name": sticky.cookie}}))
        # Who comes first is placed by the request's id, and given it as the cookie, which places them again.
        plain = _match(match, {"name": "x-request-id", "string_match": {"safe_regex": {"regex": _PLAIN_ID}}})
        fresh = _upstream_route(plain, match, route, {"header": {"header_name": "x-request-id"}})
        fresh["response_headers_to_add"] = [_hand_out(sticky)]
        routes.append(fresh)
    routes.append(_upstream_route(_match(match), match, route, None))
    return routes


def _match(match: Match, *headers: Json) -> Json:
    wanted = list(headers)
    if match.when is not None and match.when.value is None:
        wanted.append({"name": match.when.header, "present_match": True})
    elif match.when is not None:
        wanted.append({"name": match.when.header, "string_match": {"exact": match.when.value}})
    path = {"prefix": "/"} if match.path == "/" else {"path_separated_prefix": match.path}
    return {**path, **({"headers": wanted} if wanted else {})}


def _by_header(sticky: Sticky, name: str) -> Json:
    found: Json = {"header_name": name}
    if sticky.salt:
        found["regex_rewrite"] = {"pattern": {"regex": "^"}, "substitution": f"{sticky.salt}:"}
    return {"header": found}


def _hand_out(sticky: Sticky) -> Json:
    age = f"; Max-Age={sticky.seconds}" if sticky.seconds else ""
    cookie = f"{sticky.cookie}=%REQ(X-REQUEST-ID)%{age}; Path=/; HttpOnly; SameSite=Lax"
    return {"header": {"key": "set-cookie", "value": cookie}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def _upstream_route(matched: Json, match: Match, route: Route, placed_by: Json | None) -> Json:
    replicas = max(len(upstream.addresses) for upstream in route.upstreams)
    action: Json = {
        "timeout": f"{route.timeout:.3f}s",
        "retry_policy": _retries(replicas),
        **_destination(route, placed_by),
    }
    if route.mirrors:
        action["request_mirror_policies"] = [
            {
                "cluster": cluster_name(route, mirror),
                "request_headers_mutations": _MARKED,
                "runtime_fraction": {
                    "default_value": {"numerator": round(mirror.percent * 10_000), "denominator": "MILLION"}
                },
            }
            for mirror in route.mirrors
        ]
    if route.rewrite is not None:
        action["regex_rewrite"] = {
            "pattern": {"regex": f"^{re.escape(match.path.rstrip('/'))}/*(.*)$"},
            "substitution": route.rewrite.rstrip("/").replace("\\", "\\\\") + "/\\1",
        }
    filters: Json = {} if route.sign_in else dict(_AUTHZ_OFF)
    largest = route.largest_body
    # HTTP/2 may be a stream that answers before it has all, which nobody may wait for.
    if largest is not None and all(upstream.protocol == "http1" for upstream in route.upstreams):
        filters[BUFFER] = {
            "@type": TYPES + "extensions.filters.http.buffer.v3.BufferPerRoute",
            "buffer": {"max_request_bytes": largest},
        }
        if route.timeout:
            action["max_stream_duration"] = {
                "max_stream_duration": f"{route.timeout + route.body_timeout:.3f}s"
            }
    return {
        "match": matched,
        "route": action,
        # Kept until the replica is there, for another one if it is not.
        **({"request_body_buffer_limit": KEPT_BODY} if replicas > 1 else {}),
        **({"typed_per_filter_config": filters} if filters else {}),
    }


def _retries(replicas: int) -> Json:
    """Only what no upstream has seen is sent again, to another replica where there is one."""
    if replicas == 1:
        return {**_RETRY, "num_retries": 2}
    return {
        **_RETRY,
        # All but one may be gone, and each of those is found out once.
        "num_retries": min(10, replicas + 1),
        "retry_host_predicate": [
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": {
                    "@type": TYPES + "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                },
            }
        ],
        "host_selection_retry_max_attempts": 20,
    }


def _destination(route: Route, placed_by: Json | None) -> Json:
    names = [cluster_name(route, upstream) for upstream in route.upstreams]
    weights = [upstream.weight for upstream in route.upstreams]
    if len(names) == 1:
        return {"cluster": names[0]}
    shares = weights if placed_by is None else _line(weights)
    weighted: Json = {
        "clusters": [{"name": name, "weight": share} for name, share in zip(names, shares, strict=True)]
    }
    if placed_by is None:
        return {"weighted_clusters": weighted}
    return {"weighted_clusters": {**weighted, "use_hash_policy": True}, "hash_policy": [placed_by]}


def _line(weights: list[int]) -> list[int]:
    """Weights as parts of a line that is always as long, so that a share's growth moves only its border."""
    total = sum(weights)
    borders = [round(_LINE * sum(weights[:count]) / total) for count in range(len(weights) + 1)]
    return [after - before for before, after in itertools.pairwise(borders)]


def _agent(match: Json, *, sign_in: bool) -> Json:
    return {
        "match": match,
        "route": {"cluster": AGENT_CLUSTER, "timeout": "30s"},
        **({} if sign_in else {"typed_per_filter_config": _AUTHZ_OFF}),
    }


def _answer(status: int, body: str, content_type: str) -> Json:
    return {
        "match": {"prefix": "/"},
        "direct_response": {"status": status, "body": {"inline_string": body}},
        "response_headers_to_add": [
            {
                "header": {"key": name, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for name, value in (("content-type", content_type), ("cache-control", "no-store"))
        ],
        "typed_per_filter_config": _AUTHZ_OFF,
    }
