"""Routes: which host leads to which upstreams, who owns it, and whether one has to sign in first.

The table is immutable and knows nothing of Envoy, so that the same routes can be handed to another gateway.
`document` makes routes of what owners send.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from millpond.model.errors import MillpondError

GATEWAY_HOST = "gateway"
"""The host of the sign-in pages; no route may take it."""

LANDING_HOST = "localhost"
"""The bare ``http://localhost:PORT``; the landing page answers there until a route takes it."""

COOKIE_PREFIX = "millpond_session_"
"""Begins the names of the sessions' own cookies, which never reach an upstream."""


KEPT_BODY = 64 << 20
"""Bytes of a body that are kept for a shadow, or for another replica, where the route has no limit."""


class RouteError(MillpondError):
    """A set of routes cannot be served; nothing was changed."""


class HostTakenError(RouteError):
    """Another owner has the host."""


@dataclass(frozen=True)
class Upstream:
    """What answers, one process or several that are alike, and its share of the traffic.

    Args:
        addresses: ``host:port`` of each replica, where an IPv6 host stands in brackets; a request goes to
            the one that has fewest under way.
        weight: its share relative to the route's other upstreams; 0 keeps it known and unasked.
        protocol: ``http1``, or ``h2c`` for HTTP/2 without TLS, which gRPC needs.
        name: what the statistics call it, which then go on when its addresses change.
    """

    addresses: tuple[str, ...]
    weight: int = 100
    protocol: str = "http1"
    name: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The upstream as the REST interface and the state file have it."""
        return {**_target(self), "weight": self.weight}


@dataclass(frozen=True)
class Mirror:
    """A shadow: it is sent copies of requests, and nobody waits for its answers.

    Args:
        addresses: as of an upstream.
        percent: how many of the requests are copied, 0 to 100.
        protocol: as of an upstream.
        name: as of an upstream.
    """

    addresses: tuple[str, ...]
    percent: float = 100.0
    protocol: str = "http1"
    name: str | None = None

    def as_dict(self) -> dict[str, object]:
        """The mirror as the REST interface and the state file have it."""
        return {**_target(self), "percent": self.percent}


def _target(to: Upstream | Mirror) -> dict[str, object]:
    several = len(to.addresses) > 1
    return {
        **({"addresses": list(to.addresses)} if several else {"address": to.addresses[0]}),
        "protocol": to.protocol,
        **({"name": to.name} if to.name else {}),
    }


@dataclass(frozen=True)
class Sticky:
    """Sends who comes again to the same upstream.

    A user is the value of the header, or else of a cookie that the gateway hands out. Upstreams share the
    line of all users in the order of the route, so that the first keeps its users while its share grows,
    and so does the last.

    Args:
        cookie: the cookie's name; without one, requests that lack the header go by chance.
        seconds: how long a browser keeps the cookie; 0: until it is closed.
        header: a request header that names the user.
        salt: with another one, users are shared out anew, so that two experiments do not divide them alike.
    """

    cookie: str | None = None
    seconds: int = 30 * 86400
    header: str | None = None
    salt: str | None = None

    def as_dict(self) -> dict[str, object]:
        """As the REST interface and the state file have it."""
        return {"cookie": self.cookie, "seconds": self.seconds, "header": self.header, "salt": self.salt}


@dataclass(frozen=True)
class When:
    """A header that a request must have for the route to be used; ``value`` None: with any value."""

    header: str
    value: str | None = None

    def __str__(self) -> str:
        return self.header if self.value is None else f"{self.header}: {self.value}"

    def as_dict(self) -> dict[str, object]:
        """As the REST interface and the state file have it."""
        return {"header": self.header, "value": self.value}


@dataclass(frozen=True)
class Match:
    """What a route looks at within its host: a path prefix of whole segments, and perhaps a header."""

    path: str
    when: When | None = None

    def __str__(self) -> str:
        return self.path + (f" (when {self.when})" if self.when else "")

    @property
    def order(self) -> tuple[int, int]:
        """Sorts what is tried first to the front: longer paths, then those with a value, then a header."""
        return -len(self.path), 2 if self.when is None else int(self.when.value is None)


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
        mirrors: shadows that are sent copies.
        sticky: keeps users at their upstream.
        when: the route is for requests with this header alone.
        timeout: seconds from the whole request to the whole answer, then 504; 0: none.
        max_body: the largest request body in bytes, above it 413; a body reaches its upstream only when it
            is whole. None: any size, passed on as it comes; where there are mirrors, `KEPT_BODY`.
        body_timeout: seconds in which a body that is taken whole has to arrive, beside the timeout; then 408.
    """

    host: str
    upstreams: tuple[Upstream, ...]
    sign_in: bool = True
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    paths: tuple[str, ...] = ()
    rewrite: str | None = None
    title: str | None = None
    mirrors: tuple[Mirror, ...] = ()
    sticky: Sticky | None = None
    when: When | None = None
    timeout: float = 0.0
    max_body: int | None = None
    body_timeout: float = 60.0

    @property
    def largest_body(self) -> int | None:
        """Bytes of a body that is taken whole; a shadow that does not read would stop one passed on."""
        return KEPT_BODY if self.max_body is None and self.mirrors else self.max_body

    @property
    def matches(self) -> tuple[Match, ...]:
        """One per path."""
        return tuple(Match(path, self.when) for path in self.paths or ("/",))

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
            "mirrors": [mirror.as_dict() for mirror in self.mirrors],
            "sticky": self.sticky.as_dict() if self.sticky else None,
            "when": self.when.as_dict() if self.when else None,
            "timeout": self.timeout,
            "max_body": self.max_body,
            "body_timeout": self.body_timeout,
        }


class RouteTable:
    """All owners' routes, and the route that a request takes. Immutable: a change makes a new table."""

    def __init__(self, owners: Mapping[str, tuple[Route, ...]] | None = None) -> None:
        self.owners = {owner: routes for owner, routes in sorted((owners or {}).items()) if routes}
        self._matches: dict[str, dict[Match, Route]] = {}
        for routes in self.owners.values():
            for route in routes:
                for match in route.matches:
                    self._matches.setdefault(route.host, {})[match] = route

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
        seen: set[tuple[str, Match]] = set()
        open_hosts: dict[str, bool] = {}
        for route in wanted:
            for other, theirs in others:
                _refuse_conflict(owner, route, other, theirs)
            for match in route.matches:
                if (route.host, match) in seen:
                    raise RouteError(f"{owner} routes {match} of the host {route.host} twice")
                seen.add((route.host, match))
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
            for host, matches in table._matches.items():
                both._matches.setdefault(host, {}).update(matches)
        return both

    def find(self, host: str, path: str) -> Route | None:
        """The route for a path without its query, by the longest prefix of whole segments.

        Routes with a ``when`` are left out: they are open, and only sign-in has to know beforehand.
        """
        matches = self._matches.get(host)
        if not matches:
            return None
        prefix = path
        while prefix:
            if Match(prefix) in matches:
                return matches[Match(prefix)]
            prefix = prefix.rpartition("/")[0]
        return matches.get(Match("/"))

    def hosts(self) -> dict[str, dict[Match, Route]]:
        """Every host with its routes, in the order of their names."""
        return {host: self._matches[host] for host in sorted(self._matches)}

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
