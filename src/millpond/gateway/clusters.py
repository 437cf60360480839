"""Envoy's clusters: one for each upstream and each shadow.

A cluster's name holds all that makes it up, so that a cluster never changes: a new one is added, routes
move, the old one goes, and no request meets a cluster that is being rebuilt. Statistics go by the upstream's
own name where it has one, so that they go on over such a change.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from millpond.gateway.routes import Mirror, Route, RouteTable, Upstream

Json = dict[str, Any]

TYPES = "type.googleapis.com/envoy."
AGENT_CLUSTER = "millpond-agent"

_CLUSTER = TYPES + "config.cluster.v3.Cluster"
_PATIENCE = 300.0
"""Seconds after which a shadow's answer is given up where the route has no limit of its own."""

# Nobody waits for a shadow: what it cannot take at once is not sent, so that it holds little of the gateway.
_SHADOW_LIMITS = {"max_connections": 100, "max_pending_requests": 100, "max_requests": 200}
_SHADOW_BUFFER = 64 << 20
"""Bytes that an HTTP/2 shadow may leave unread; more of one message would stop the request itself."""
_LIMITS = {"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 100000}

_EJECTION: Json = {
    # A replica that cannot be connected to is left alone for a few seconds: with nothing under way it would
    # be the first choice for every request. Its answers do not count: what a model says is not the gateway's
    # to judge.
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 1,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 0,
    "enforcing_consecutive_5xx": 0,
    "enforcing_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "2s",
    "max_ejection_time": "10s",
    "max_ejection_percent": 100,
}


def agent_cluster(socket: str) -> Json:
    """The cluster of the agent's own pages and checks."""
    return _cluster(AGENT_CLUSTER, [{"pipe": {"path": socket}}], "http1")


def clusters(*tables: RouteTable) -> list[Json]:
    """The clusters of all tables, each once."""
    found = {str(item["name"]): item for table in tables for item in _of_table(table)}
    return [found[name] for name in sorted(found)]


def _of_table(table: RouteTable) -> Iterator[Json]:
    for route, target in targets(table):
        yield _of_target(route, target)


def targets(table: RouteTable) -> Iterator[tuple[Route, Upstream | Mirror]]:
    """Every upstream and shadow with its route; one that several routes lead to is there several times."""
    for matches in table.hosts().values():
        for route in matches.values():
            for upstream in route.upstreams:
                yield route, upstream
            for mirror in route.mirrors:
                yield route, mirror


def cluster_name(route: Route, target: Upstream | Mirror) -> str:
    """The cluster's name: the host and all that the upstream or shadow is made of."""
    name = f"{target.name}=" if target.name else ""
    return f"{route.host}/{name}{','.join(target.addresses)}{_suffix(target)}" + (
        f"/{_patience(route):g}s" if isinstance(target, Mirror) else ""
    )


def stat_name(route: Route, target: Upstream | Mirror) -> str:
    """What statistics call it: the host and its own name, or else its cluster's name."""
    return f"{route.host}/{target.name}{_suffix(target)}" if target.name else cluster_name(route, target)


def _suffix(target: Upstream | Mirror) -> str:
    protocol = "" if target.protocol == "http1" else f"/{target.protocol}"
    return protocol + ("/shadow" if isinstance(target, Mirror) else "")


def _patience(route: Route) -> float:
    return route.timeout or _PATIENCE


def _of_target(route: Route, target: Upstream | Mirror) -> Json:
    parts = [_parts(address) for address in target.addresses]
    found = _cluster(
        cluster_name(route, target),
        [socket_address(host, port) for host, port in parts],
        target.protocol,
        _patience(route) if isinstance(target, Mirror) else None,
    )
    if target.name:
        found["alt_stat_name"] = stat_name(route, target)
    if not all(_is_ip(host) for host, _ in parts):
        found |= {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}
    if len(parts) > 1:
        found |= {
            "lb_policy": "LEAST_REQUEST",
            # Of two draws both may be the busy one of two replicas, one time in four.
            "least_request_lb_config": {"choice_count": 4},
            "outlier_detection": _EJECTION,
            # Only when all are left alone, all are tried again.
            "common_lb_config": {"healthy_panic_threshold": {"value": 1.0}},
        }
    return {"@type": _CLUSTER, **found}


def _parts(address: str) -> tuple[str, int]:
    """Host without brackets, and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def socket_address(host: str, port: int) -> Json:
    """A TCP address in Envoy's words."""
    return {"socket_address": {"address": host, "port_value": port}}


def _cluster(name: str, addresses: list[Json], protocol: str, patience: float | None = None) -> Json:
    """A cluster; with patience, in seconds, that of a shadow."""
    shadow = patience is not None
    windows = ("initial_stream_window_size", "initial_connection_window_size")
    http2 = dict.fromkeys(windows, _SHADOW_BUFFER) if shadow else {}
    explicit: Json = {"http2_protocol_options": http2} if protocol == "h2c" else {"http_protocol_options": {}}
    # A shadow that hangs would keep each request that it was sent.
    limit = {"max_stream_duration": f"{patience:.3f}s"} if shadow else {}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": TYPES + "extensions.upstreams.http.v3.HttpProtocolOptions",
                # Below the keep-alive of the servers behind (gunicorn 2 s, uvicorn and Node 5 s): a request
                # sent on a connection that its server is just closing would be lost.
                "common_http_protocol_options": {"idle_timeout": "1.5s", **limit},
                "explicit_http_config": explicit,
            }
        },
        "circuit_breakers": {
            "thresholds": [{**(_SHADOW_LIMITS if shadow else _LIMITS), "max_retries": 1000}]
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}],
        },
    }
