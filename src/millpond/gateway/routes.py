"""Routes: which host leads to which upstreams, who owns it, and whether one has to sign in first.

The one place that judges what may be routed. It knows nothing of Envoy, so that the same documents can be
handed to another gateway. A route is refused as a whole, with the reason in its owner's words.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from millpond.model.errors import MillpondError, did_you_mean

GATEWAY_HOST = "gateway"
"""The host of the sign-in pages; no route may take it."""

LANDING_HOST = "localhost"
"""The bare ``http://localhost:PORT``; the landing page answers there until a route takes it."""

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OWNER = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_HEADER = re.compile(r"authorization|x-[a-z0-9-]+")
_OWN_HEADERS = ("x-millpond-", "x-envoy-", "x-forwarded-")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
PROTOCOLS = ("http1", "h2c")


class RouteError(MillpondError):
    """A set of routes cannot be served; nothing was changed."""


@dataclass(frozen=True)
class Upstream:
    """A process that answers, and its share of the traffic.

    Args:
        address: ``host:port``, where an IPv6 host stands in brackets.
        weight: its share relative to the route's other upstreams; 0 keeps it known and unasked.
        protocol: ``http1``, or ``h2c`` for HTTP/2 without TLS, which gRPC needs.
    """

    address: str
    weight: int = 100
    protocol: str = "http1"

    @property
    def parts(self) -> tuple[str, int]:
        """Host without brackets, and port."""
        host, _, port = self.address.rpartition(":")
        return host.strip("[]"), int(port)

    def as_dict(self) -> dict[str, object]:
        """The upstream as the REST interface and the state file have it."""
        return {"address": self.address, "weight": self.weight, "protocol": self.protocol}


@dataclass(frozen=True)
class Route:
    """One host, or some paths of it, and where they lead.

    Args:
        host: ``mlflow`` for ``http://mlflow.localhost:PORT``; ``localhost`` for the bare name.
        upstreams: one or more; traffic is split by weight.
        sign_in: whether a session or the platform's credentials are asked for.
        headers: set on the way to the upstream for who has signed in; the values are secrets.
        paths: the path prefixes it is for (whole segments); none means the whole host.
        rewrite: replaces the matched prefix.
        title: what the landing page calls it.
    """

    host: str
    upstreams: tuple[Upstream, ...]
    sign_in: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: tuple[str, ...] = ()
    rewrite: str | None = None
    title: str | None = None

    def as_dict(self, *, secrets: bool) -> dict[str, object]:
        """The route as the REST interface has it; header values only with ``secrets``."""
        return {
            "host": self.host,
            "upstreams": [upstream.as_dict() for upstream in self.upstreams],
            "sign_in": self.sign_in,
            "headers": {name: value if secrets else "***" for name, value in self.headers.items()},
            "paths": list(self.paths) or None,
            "rewrite": self.rewrite,
            "title": self.title,
        }


def parse_owner(name: str) -> str:
    """The name, if it can own routes.

    Raises:
        RouteError: it cannot.
    """
    if not _OWNER.fullmatch(name):
        raise RouteError(
            f"{name!r} cannot own routes", hint="use lower-case letters, digits, dots, underscores and dashes"
        )
    return name


def parse_routes(body: object) -> tuple[Route, ...]:
    """The routes of a ``PUT /routes/<owner>`` body.

    Raises:
        RouteError: with the place in the body and what is wrong there.
    """
    document = _mapping(body, "the body", ("routes",))
    routes = document.get("routes")
    if not isinstance(routes, list):
        raise RouteError("the body has no list called routes", hint='send {"routes": [...]}')
    return tuple(_route(item, f"routes[{index}]") for index, item in enumerate(routes))


def _route(item: object, at: str) -> Route:
    known = ("host", "upstreams", "sign_in", "headers", "paths", "rewrite", "title")
    found = _mapping(item, at, known)
    host = found.get("host")
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise RouteError(
            f"{at}: {host!r} is not a host name",
            hint="one label of lower-case letters, digits and dashes, at most 63 long",
        )
    at = f"{at} ({host})"
    if host == GATEWAY_HOST:
        raise RouteError(
            f"{at}: the host {GATEWAY_HOST} belongs to the gateway itself", hint="name it otherwise"
        )
    sign_in = found.get("sign_in", True)
    if not isinstance(sign_in, bool):
        raise RouteError(f"{at}: sign_in is neither true nor false")
    headers = _headers(found.get("headers"), at)
    if headers and not sign_in:
        raise RouteError(
            f"{at}: headers on an open route would sign everybody in upstream",
            hint="set sign_in: true, or leave the headers out",
        )
    return Route(
        host=host,
        upstreams=_upstreams(found.get("upstreams"), at),
        sign_in=sign_in,
        headers=headers,
        paths=_paths(found.get("paths"), at),
        rewrite=_rewrite(found.get("rewrite"), at),
        title=_title(found.get("title"), at),
    )


def _mapping(item: object, at: str, known: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(item, dict):
        raise RouteError(f"{at} is not an object")
    for key in item:
        if key not in known:
            raise RouteError(f"{at}: unknown key {key!r}", hint=did_you_mean(str(key), known))
    return item


def _upstreams(found: object, at: str) -> tuple[Upstream, ...]:
    if not isinstance(found, list) or not found:
        raise RouteError(f"{at}: upstreams is not a list of at least one")
    upstreams = tuple(_upstream(item, f"{at}: upstreams[{index}]") for index, item in enumerate(found))
    if sum(upstream.weight for upstream in upstreams) == 0:
        raise RouteError(f"{at}: the weights of its upstreams add up to 0", hint="give one of them a weight")
    seen = [upstream.address for upstream in upstreams]
    if len(set(seen)) != len(seen):
        raise RouteError(f"{at}: an upstream is named twice", hint="add the two weights up")
    return upstreams


def _upstream(item: object, at: str) -> Upstream:
    found = _mapping(item, at, ("address", "weight", "protocol"))
    address = found.get("address")
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if not isinstance(address, str) or match is None or not _possible(match["host"], int(match["port"])):
        raise RouteError(f"{at}: {address!r} is not an address", hint="write it as 127.0.0.1:5000")
    weight = found.get("weight", 100)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= 1_000_000:
        raise RouteError(f"{at}: weight {weight!r} is not a whole number from 0 to 1000000")
    protocol = found.get("protocol", "http1")
    if protocol not in PROTOCOLS:
        raise RouteError(f"{at}: unknown protocol {protocol!r}", hint=did_you_mean(str(protocol), PROTOCOLS))
    return Upstream(address, weight, str(protocol))


def _possible(host: str, port: int) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            return False
    return 0 < port < 65536


def _headers(found: object, at: str) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RouteError(f"{at}: headers is not an object")
    headers: dict[str, str] = {}
    for key, value in found.items():
        name = str(key).lower()
        if not _HEADER.fullmatch(name) or name.startswith(_OWN_HEADERS):
            raise RouteError(
                f"{at}: the header {key!r} cannot be set",
                hint="authorization and x-... can, except for x-millpond-, x-envoy- and x-forwarded-",
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
            raise RouteError(f"{at}: the value of the header {name} is not printable ASCII")
        headers[name] = value
    return headers


def _paths(found: object, at: str) -> tuple[str, ...]:
    if found is None:
        return ()
    if not isinstance(found, list) or not found:
        raise RouteError(f"{at}: paths is neither null nor a list of at least one")
    paths = []
    for path in found:
        if not isinstance(path, str) or not _PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
            raise RouteError(f"{at}: {path!r} is not a path", hint="write it as /v2/models/flights")
        paths.append(path.rstrip("/") or "/")
    return tuple(dict.fromkeys(paths))


def _rewrite(found: object, at: str) -> str | None:
    if found is None:
        return None
    if not isinstance(found, str) or not _PATH.fullmatch(found):
        raise RouteError(f"{at}: rewrite {found!r} is not a path")
    return found


def _title(found: object, at: str) -> str | None:
    if found is None:
        return None
    if not isinstance(found, str) or not found.isprintable() or len(found) > 100:
        raise RouteError(f"{at}: title is not a text of at most 100 characters")
    return found


class HostTakenError(RouteError):
    """Another owner has the host."""


class RouteTable:
    """All owners' routes, and the route that a request takes. Immutable: a change makes a new table."""

    def __init__(self, owners: Mapping[str, tuple[Route, ...]] | None = None) -> None:
        self.owners = {owner: routes for owner, routes in sorted((owners or {}).items()) if routes}
        self._paths: dict[str, dict[str, Route]] = {}
        for routes in self.owners.values():
            for route in routes:
                for path in route.paths or ("/",):
                    self._paths.setdefault(route.host, {})[path] = route

    def replace(self, owner: str, routes: Iterable[Route]) -> RouteTable:
        """The table with one owner's routes exchanged.

        An open host may be shared: its owners then have different paths of it, and none has all of it.

        Raises:
            RouteError: a host or path is another owner's, a path of a host is there twice, or a host would
                be both open and behind the sign-in.
        """
        wanted = tuple(routes)
        others = [
            (other, route) for other, theirs in self.owners.items() if other != owner for route in theirs
        ]
        seen: set[tuple[str, str]] = set()
        open_hosts: dict[str, bool] = {}
        for route in wanted:
            for other, theirs in others:
                _refuse_conflict(owner, route, other, theirs)
            for path in route.paths or ("/",):
                if (route.host, path) in seen:
                    raise RouteError(f"{owner} routes {path} of the host {route.host} twice")
                seen.add((route.host, path))
            if open_hosts.setdefault(route.host, route.sign_in) != route.sign_in:
                # An open upstream would be sent the session cookie of the part that is not open.
                raise RouteError(
                    f"the host {route.host} would be both open and behind the sign-in",
                    hint="give the open paths a host of their own",
                )
        return RouteTable({**self.owners, owner: wanted})

    def overlay(self, newer: RouteTable) -> RouteTable:
        """Both tables' routes, the newer winning: what holds while Envoy moves from one to the other."""
        both = RouteTable()
        for table in (self, newer):
            for host, paths in table._paths.items():
                both._paths.setdefault(host, {}).update(paths)
        return both

    def find(self, host: str, path: str) -> Route | None:
        """The route for a path without its query, by the longest prefix of whole segments."""
        paths = self._paths.get(host)
        if not paths:
            return None
        prefix = path
        while prefix:
            if prefix in paths:
                return paths[prefix]
            prefix = prefix.rpartition("/")[0]
        return paths.get("/")

    def hosts(self) -> dict[str, dict[str, Route]]:
        """Every host with its paths, in the order of their names."""
        return {host: self._paths[host] for host in sorted(self._paths)}

    def as_dict(self, *, secrets: bool) -> dict[str, object]:
        """Owners and their routes; header values only with ``secrets``."""
        return {
            owner: [route.as_dict(secrets=secrets) for route in routes]
            for owner, routes in self.owners.items()
        }


def _refuse_conflict(owner: str, route: Route, other: str, theirs: Route) -> None:
    if route.host != theirs.host:
        return
    shareable = bool(route.paths and theirs.paths) and not (route.sign_in or theirs.sign_in)
    twice = sorted(set(route.paths) & set(theirs.paths))
    if shareable and not twice:
        return
    what = f"the path {twice[0]} of the host {route.host}" if shareable else f"the host {route.host}"
    raise HostTakenError(
        f"{what} is already {other}'s, so {owner} cannot have it",
        hint=f"rename one of them, or remove {other}",
    )
