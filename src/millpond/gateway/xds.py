"""What Envoy is told, as plain data: the bootstrap, the listener, the clusters and the route table.

Pure: routes in, JSON out. The four parts are Envoy's own xDS resources (v3 API), which Envoy reads from
files and re-reads when a file is renamed into place, so nothing of Envoy restarts when a route changes.
A cluster's name holds all that makes it up, so that a cluster never changes: a new one is added, routes
move, the old one goes, and no request meets a cluster that is being rebuilt.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from millpond.gateway.routes import GATEWAY_HOST, LANDING_HOST, Route, RouteTable, Upstream

Json = dict[str, Any]

AGENT_CLUSTER = "millpond-agent"
ROUTE_TABLE = "millpond"
STAT_PREFIX = "gateway"
OWN_PATHS = "/.millpond/"
"""Below this path every host behind the sign-in answers for the gateway itself."""

_TYPES = "type.googleapis.com/envoy."
_HCM = _TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_LISTENER = _TYPES + "config.listener.v3.Listener"
_CLUSTER = _TYPES + "config.cluster.v3.Cluster"
_ROUTES = _TYPES + "config.route.v3.RouteConfiguration"
_EXT_AUTHZ = "envoy.filters.http.ext_authz"
_AUTHZ_OFF: Json = {
    _EXT_AUTHZ: {"@type": _TYPES + "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute", "disabled": True}
}


@dataclass(frozen=True)
class Site:
    """Where the gateway listens and where its own parts are.

    Args:
        port: the public port on the loopback addresses.
        xds: the folder that Envoy watches.
        agent_socket: the agent's pages and sign-in checks.
        admin_socket: Envoy's admin interface.
        ipv6: whether ``[::1]`` is listened on too: browsers may take ``*.localhost`` there.
        access_log: one JSON line per request to stdout.
    """

    port: int
    xds: str
    agent_socket: str
    admin_socket: str
    ipv6: bool
    access_log: bool

    def origin(self, host: str) -> str:
        """The public origin of a host, as a browser writes it."""
        name = LANDING_HOST if host == LANDING_HOST else f"{host}.localhost"
        return f"http://{name}" + ("" if self.port == 80 else f":{self.port}")


def bootstrap(site: Site) -> Json:
    """The file that Envoy starts with; everything that changes is elsewhere."""
    return {
        "node": {"id": "millpond-gateway", "cluster": "millpond"},
        "admin": {"address": {"pipe": {"path": site.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _file_source(site, "lds"),
            "cds_config": _file_source(site, "cds"),
        },
        "static_resources": {
            "clusters": [
                _cluster(AGENT_CLUSTER, {"pipe": {"path": site.agent_socket}}, "http1", "STATIC", {})
            ]
        },
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": _TYPES + "extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": 20000,
                    },
                }
            ]
        },
    }


def _file_source(site: Site, kind: str) -> Json:
    folder = f"{site.xds}/{kind}"
    return {
        "resource_api_version": "V3",
        "path_config_source": {"path": f"{folder}/{kind}.json", "watched_directory": {"path": folder}},
    }


def response(version: str, resources: Iterable[Json]) -> Json:
    """A discovery response, which is what each watched file holds."""
    return {"version_info": version, "resources": list(resources)}


def listener(site: Site, error_page: str) -> Json:
    """The public listener.

    Args:
        site: where.
        error_page: HTML for when an upstream or the agent is not there; ``%RESPONSE_CODE%`` is filled in.
    """
    manager: Json = {
        "@type": _HCM,
        "stat_prefix": STAT_PREFIX,
        "rds": {"route_config_name": ROUTE_TABLE, "config_source": _file_source(site, "rds")},
        # Everybody comes from the loopback address; Envoy would name this machine's own instead.
        "use_remote_address": True,
        "skip_xff_append": True,
        "server_header_transformation": "PASS_THROUGH",
        "preserve_external_request_id": True,
        # The sign-in is decided on the path that the upstream is matched with.
        "normalize_path": True,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "common_http_protocol_options": {"idle_timeout": "300s", "headers_with_underscores_action": "ALLOW"},
        # A slow client holds a connection for ten seconds at most before its request line is complete;
        # bodies and answers take as long as they do, as long as something moves within the hour.
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "3600s",
        "early_header_mutation_extensions": [
            {
                "name": "strip",
                "typed_config": {
                    "@type": _TYPES
                    + "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [
                        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}
                        for prefix in ("x-millpond-", "x-envoy-", "x-forwarded-")
                    ],
                },
            }
        ],
        "http_filters": [
            {"name": _EXT_AUTHZ, "typed_config": _ext_authz()},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": _TYPES + "extensions.filters.http.router.v3.Router",
                    "suppress_envoy_headers": True,
                },
            },
        ],
        "local_reply_config": _local_replies(error_page),
    }
    if site.access_log:
        manager["access_log"] = [_access_log()]
    public: Json = {
        "@type": _LISTENER,
        "name": "public",
        "address": _socket("127.0.0.1", site.port),
        # With the port shared, a second gateway on it would start without a word.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    if site.ipv6:
        public["additional_addresses"] = [{"address": _socket("::1", site.port)}]
    return public


def _socket(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _ext_authz() -> Json:
    exact = ("accept", "cookie", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-websocket-key")
    return {
        "@type": _TYPES + "extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "failure_mode_allow": False,
        "status_on_error": {"code": "ServiceUnavailable"},
        "allowed_headers": {"patterns": [{"exact": name, "ignore_case": True} for name in exact]},
        "http_service": {
            "server_uri": {"uri": "http://agent", "cluster": AGENT_CLUSTER, "timeout": "5s"},
            "path_prefix": "/authz",
            "authorization_response": {
                "allowed_upstream_headers": {
                    "patterns": [{"exact": "authorization"}, {"exact": "cookie"}, {"prefix": "x-"}]
                },
                "allowed_client_headers": {
                    "patterns": [
                        {"exact": name}
                        for name in (
                            "content-type",
                            "cache-control",
                            "retry-after",
                            "www-authenticate",
                            "location",
                        )
                    ]
                },
            },
        },
    }


def _local_replies(error_page: str) -> Json:
    failed: Json = {
        "status_code_filter": {
            "comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "millpond.unused"}}
        }
    }
    browser: Json = {
        "header_filter": {"header": {"name": "accept", "string_match": {"contains": "text/html"}}}
    }
    return {
        "mappers": [
            {
                "filter": {"and_filter": {"filters": [failed, browser]}},
                "body_format_override": {
                    "text_format_source": {"inline_string": error_page},
                    "content_type": "text/html; charset=utf-8",
                },
            },
            {
                "filter": failed,
                "body_format_override": {
                    "json_format": {
                        "error": "%REQ(:AUTHORITY)% is not answering",
                        "status": "%RESPONSE_CODE%",
                        "reason": "%RESPONSE_FLAGS_LONG%",
                        "hint": "millpond status",
                    }
                },
            },
        ]
    }


def _access_log() -> Json:
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": _TYPES + "extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {
                "json_format": {
                    "time": "%START_TIME%",
                    "host": "%REQ(:AUTHORITY)%",
                    "method": "%REQ(:METHOD)%",
                    # Without the query: it may hold a ticket, or what a user typed.
                    "path": "%PATH(NQ:ORIG_OR_PATH)%",
                    "status": "%RESPONSE_CODE%",
                    "ms": "%DURATION%",
                    "received": "%BYTES_RECEIVED%",
                    "sent": "%BYTES_SENT%",
                    "upstream": "%UPSTREAM_HOST%",
                    "flags": "%RESPONSE_FLAGS%",
                    "request_id": "%REQ(X-REQUEST-ID)%",
                }
            },
        },
    }


def clusters(*tables: RouteTable) -> list[Json]:
    """The clusters of all tables, each once."""
    found: dict[str, Json] = {}
    for table in tables:
        for paths in table.hosts().values():
            for route in paths.values():
                for upstream in route.upstreams:
                    name = cluster_name(route, upstream)
                    if name not in found:
                        found[name] = _upstream_cluster(name, upstream)
    return [found[name] for name in sorted(found)]


def cluster_name(route: Route, upstream: Upstream) -> str:
    """The cluster's name in Envoy's statistics: per host and upstream, so that two versions compare."""
    return f"{route.host}/{upstream.address}" + (
        "" if upstream.protocol == "http1" else f"/{upstream.protocol}"
    )


def _upstream_cluster(name: str, upstream: Upstream) -> Json:
    host, port = upstream.parts
    try:
        ipaddress.ip_address(host)
    except ValueError:
        kind, extra = "STRICT_DNS", {"dns_lookup_family": "V4_PREFERRED"}
    else:
        kind, extra = "STATIC", {}
    return {"@type": _CLUSTER, **_cluster(name, _socket(host, port), upstream.protocol, kind, extra)}


def _cluster(name: str, address: Json, protocol: str, kind: str, extra: Json) -> Json:
    explicit: Json = {"http2_protocol_options": {}} if protocol == "h2c" else {"http_protocol_options": {}}
    return {
        "name": name,
        "type": kind,
        **extra,
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _TYPES + "extensions.upstreams.http.v3.HttpProtocolOptions",
                # Below the keep-alive of the servers behind (gunicorn 2 s, uvicorn and Node 5 s): a request
                # sent on a connection that its server is just closing would be lost.
                "common_http_protocol_options": {"idle_timeout": "1.5s"},
                "explicit_http_config": explicit,
            }
        },
        "circuit_breakers": {
            "thresholds": [
                {
                    "max_connections": 10000,
                    "max_pending_requests": 10000,
                    "max_requests": 100000,
                    "max_retries": 1000,
                }
            ]
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def route_table(site: Site, table: RouteTable, unknown_page: str) -> Json:
    """Virtual hosts by name; the port in the Host header is left for the upstream and not looked at.

    Args:
        site: where.
        table: what.
        unknown_page: HTML for a ``*.localhost`` name that nothing has.
    """
    hosts = table.hosts()
    known = [site.origin(host) for host in hosts]
    virtual = [_virtual_host(host, paths) for host, paths in hosts.items()]
    virtual.append(
        {
            "name": GATEWAY_HOST,
            "domains": [f"{GATEWAY_HOST}.localhost"],
            "routes": [_agent({"prefix": "/"}, sign_in=False)],
        }
    )
    if LANDING_HOST not in hosts:
        virtual.append(
            {
                "name": LANDING_HOST,
                "domains": [LANDING_HOST],
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
            "domains": ["*.localhost"],
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
    }


def _virtual_host(host: str, paths: dict[str, Route]) -> Json:
    routes = []
    if any(route.sign_in for route in paths.values()):
        routes.append(_agent({"prefix": OWN_PATHS}, sign_in=False))
    for path in sorted(paths, key=len, reverse=True):
        routes.append(_upstream_route(path, paths[path]))
    return {
        "name": f"host {host}",
        "domains": [LANDING_HOST if host == LANDING_HOST else f"{host}.localhost"],
        "routes": routes,
    }


def _upstream_route(path: str, route: Route) -> Json:
    names = [(cluster_name(route, upstream), upstream.weight) for upstream in route.upstreams]
    action: Json = {
        "timeout": "0s",
        # Only what no upstream has seen is sent again.
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset-before-request",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        },
    }
    if len(names) == 1:
        action["cluster"] = names[0][0]
    else:
        action["weighted_clusters"] = {
            "clusters": [{"name": name, "weight": weight} for name, weight in names]
        }
    if route.rewrite is not None:
        action["regex_rewrite"] = {
            "pattern": {"regex": f"^{re.escape(path.rstrip('/'))}/*(.*)$"},
            "substitution": route.rewrite.rstrip("/").replace("\\", "\\\\") + "/\\1",
        }
    return {
        "match": {"prefix": "/"} if path == "/" else {"path_separated_prefix": path},
        "route": action,
        **({} if route.sign_in else {"typed_per_filter_config": _AUTHZ_OFF}),
    }


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
