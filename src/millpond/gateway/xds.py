"""What Envoy starts with, as plain data: the bootstrap and the public listener.

Pure: JSON out. These, `clusters` and `virtualhosts` are Envoy's own xDS resources (v3 API), which Envoy reads
from files and re-reads when a file is renamed into place, so nothing of Envoy restarts when a route changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millpond.gateway.clusters import AGENT_CLUSTER, TYPES, Json, agent_cluster, socket_address
from millpond.gateway.routes import LANDING_HOST

EXT_AUTHZ = "envoy.filters.http.ext_authz"
BUFFER = "envoy.filters.http.buffer"
ROUTE_TABLE = "millpond"
STAT_PREFIX = "gateway"
OWN_PATHS = "/.millpond/"
"""Below this path every host behind the sign-in answers for the gateway itself."""

# Envoy keeps a hundred statistics of each cluster by itself, and looks through all when it is asked for one.
_KEPT_STATISTICS: list[Json] = [
    *({"prefix": prefix} for prefix in ("cluster_manager.", "http.gateway.", "listener", "server.")),
    *(
        {"suffix": f".upstream_{name}"}
        for name in (
            *("rq_total", "rq_active", "rq_5xx", "rq_time", "rq_timeout", "rq_retry", "rq_pending_overflow"),
            *("cx_total", "cx_active", "cx_connect_fail"),
        )
    ),
]
_HEADER_KIB = 60
_HEADER_COUNT = 100

_HCM = TYPES + "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_LISTENER = TYPES + "config.listener.v3.Listener"


@dataclass(frozen=True)
class Site:
    """Where the gateway listens and where its own parts are.

    Args:
        port: the port that is listened on.
        xds: the folder that Envoy watches.
        agent_socket: the agent's pages and sign-in checks.
        admin_socket: Envoy's admin interface.
        ipv6: whether ``[::1]`` is listened on too: browsers may take ``*.localhost`` there.
        access_log: one JSON line per request to stdout.
        connections: how many clients may be connected at once; more are hung up on.
        bind: the address that is listened on.
        domain: every host is a name below it, and the landing page is the domain itself.
        https: whether the entrance in front of this one speaks TLS, so that links are https.
        public_port: the port that links name; 0: the one that is listened on.
    """

    port: int
    xds: str
    agent_socket: str
    admin_socket: str
    ipv6: bool
    access_log: bool
    connections: int = 20000
    bind: str = "127.0.0.1"
    domain: str = "localhost"
    https: bool = False
    public_port: int = 0

    @property
    def scheme(self) -> str:
        """What links begin with."""
        return "https" if self.https else "http"

    @property
    def outer_port(self) -> int:
        """The port at which browsers find this entrance."""
        return self.public_port or self.port

    @property
    def usual_port(self) -> int:
        """The port that links of this scheme need not name."""
        return 443 if self.https else 80

    def name(self, host: str) -> str:
        """A host's full name: ``mlflow.localhost``."""
        return self.domain if host == LANDING_HOST else f"{host}.{self.domain}"

    def origin(self, host: str) -> str:
        """The public origin of a host, as a browser writes it."""
        port = "" if self.outer_port == self.usual_port else f":{self.outer_port}"
        return f"{self.scheme}://{self.name(host)}{port}"

    def host_of(self, authority: str) -> str | None:
        """The route host of a Host header, ``mlflow`` for ``mlflow.localhost:8080``; None: a foreign name."""
        name = authority.lower()
        if not name.endswith("]"):
            name = name.partition(":")[0]
        if name == self.domain:
            return LANDING_HOST
        label, dot, rest = name.partition(".")
        return label if dot and rest == self.domain and label and label != LANDING_HOST else None


def bootstrap(site: Site) -> Json:
    """The file that Envoy starts with; everything that changes is elsewhere."""
    return {
        "node": {"id": "millpond-gateway", "cluster": "millpond"},
        "admin": {"address": {"pipe": {"path": site.admin_socket, "mode": 0o600}}},
        "dynamic_resources": {
            "lds_config": _file_source(site, "lds"),
            "cds_config": _file_source(site, "cds"),
        },
        "static_resources": {"clusters": [agent_cluster(site.agent_socket)]},
        # Paths and cookies with long names make long patterns; a pattern's size is bounded by theirs.
        "layered_runtime": {
            "layers": [
                {"name": "static", "static_layer": {"re2.max_program_size.error_level": 10000}},
            ]
        },
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": _KEPT_STATISTICS}}},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": TYPES + "extensions.resource_monitors.downstream_connections.v3."
                        "DownstreamConnectionsConfig",
                        "max_active_downstream_connections": site.connections,
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
        "common_http_protocol_options": {
            "idle_timeout": "300s",
            "headers_with_underscores_action": "ALLOW",
            "max_headers_count": _HEADER_COUNT,
        },
        # A slow client holds a connection for ten seconds at most before its request line is complete;
        # bodies and answers take as long as they do, as long as something moves within the hour.
        "request_headers_timeout": "10s",
        "stream_idle_timeout": "3600s",
        "max_request_headers_kb": _HEADER_KIB,
        # What one connection may have under way, and leave here for an upstream that does not read.
        "http2_protocol_options": {
            "max_concurrent_streams": 1000,
            "initial_stream_window_size": 1 << 20,
            "initial_connection_window_size": 16 << 20,
        },
        "early_header_mutation_extensions": [
            {
                "name": "strip",
                "typed_config": {
                    "@type": TYPES
                    + "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
                    "mutations": [
                        {"remove_on_match": {"key_matcher": {"prefix": prefix, "ignore_case": True}}}
                        for prefix in ("x-millpond-", "x-envoy-", "x-forwarded-")
                    ],
                },
            }
        ],
        "http_filters": [
            {"name": EXT_AUTHZ, "typed_config": _ext_authz()},
            # Off, except for the routes that say how large a body may be.
            {
                "name": BUFFER,
                "disabled": True,
                "typed_config": {
                    "@type": TYPES + "extensions.filters.http.buffer.v3.Buffer",
                    "max_request_bytes": 1 << 20,
                },
            },
            {
                "name": "envoy.filters.http.router",
                "typed_config": {
                    "@type": TYPES + "extensions.filters.http.router.v3.Router",
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
        "address": socket_address(site.bind, site.port),
        # With the port shared, a second gateway on it would start without a word.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": 1 << 20,
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    if site.ipv6:
        public["additional_addresses"] = [{"address": socket_address("::1", site.port)}]
    return public


def _ext_authz() -> Json:
    exact = ("accept", "cookie", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-websocket-key")
    return {
        "@type": TYPES + "extensions.filters.http.ext_authz.v3.ExtAuthz",
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


_NOT_ANSWERING = {
    "error": "%REQ(:AUTHORITY)% is not answering",
    "status": "%RESPONSE_CODE%",
    "reason": "%RESPONSE_FLAGS_LONG%",
    "hint": "millpond status",
}
_REFUSALS = {
    408: ("the request did not arrive in time", "send it without a pause"),
    413: ("the request's body is larger than this route takes", "send fewer rows at once"),
    431: (
        "the request's headers are too many or too large",
        f"at most {_HEADER_COUNT} headers and {_HEADER_KIB} KiB in all are taken",
    ),
}


def _local_replies(error_page: str) -> Json:
    failed = _status("GE", 500)
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
                # Envoy's word for a body that it cannot keep any longer for an upstream that is not there.
                "filter": _status("EQ", 507),
                "status_code": 503,
                "body_format_override": {"json_format": _NOT_ANSWERING | {"status": 503}},
            },
            {
                "filter": _status("EQ", 504),
                "body_format_override": {
                    "json_format": {
                        "error": "%REQ(:AUTHORITY)% did not answer in time",
                        "status": "%RESPONSE_CODE%",
                        "reason": "%RESPONSE_FLAGS_LONG%",
                        "hint": "ask for less at once, or give the route a longer timeout",
                    }
                },
            },
            {
                "filter": failed,
                "body_format_override": {
                    "json_format": _NOT_ANSWERING,
                },
            },
            *(
                {
                    "filter": _status("EQ", code),
                    "body_format_override": {"json_format": {"error": error, "hint": hint}},
                }
                for code, (error, hint) in _REFUSALS.items()
            ),
        ]
    }


def _status(operator: str, code: int) -> Json:
    value = {"default_value": code, "runtime_key": "millpond.unused"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _access_log() -> Json:
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": TYPES + "extensions.access_loggers.stream.v3.StdoutAccessLog",
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
