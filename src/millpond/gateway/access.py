"""Whether a request may pass: the decision behind Envoy's external authorization.

It answers for the routes that ask for a sign-in. Nothing else in the gateway grants access, so this is the
module to read in a security review. In order: a foreign page is refused, then a session's cookie, the
platform's user by HTTP Basic, and, where the upstream has a sign-in of its own, the caller's own credentials
let a request pass; all else is sent to the sign-in page (a browser) or answered 401.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from millpond.gateway.routes import COOKIE_PREFIX, GATEWAY_HOST, LANDING_HOST, Route, RouteTable
from millpond.gateway.sessions import Brake, Sessions
from millpond.gateway.settings import Credentials
from millpond.gateway.xds import Site

USER_HEADER = "x-millpond-user"
"""Tells the upstream who has signed in; what a client sends by this name is removed at the door."""

_REMOVE = "x-envoy-auth-headers-to-remove"
_SAFE = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True)
class Check:
    """A request as Envoy asks about it: the original method, authority, path with query, and some headers."""

    method: str
    authority: str
    target: str
    headers: Mapping[str, str]
    authorizations: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path that routes are matched with."""
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Decision:
    """200 lets the request pass, with the headers set on its way; any other status is the client's answer."""

    status: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    body: bytes = b""


class Doorkeeper:
    """Decides by the routes of the moment, the sessions and the platform's credentials."""

    def __init__(self, site: Site, sessions: Sessions, credentials: Credentials) -> None:
        self.site = site
        self.sessions = sessions
        self.table = RouteTable()
        # Cookies do not tell ports apart: two platforms must not sign each other out.
        self.cookie_name = f"{COOKIE_PREFIX}{site.port}"
        self.form_brake = Brake(most=8, refill=8.0)
        self._basic_brake = Brake(most=60, refill=1.0)
        self._user = credentials.user
        self._digest = _digest(credentials.user, credentials.password)

    def knows(self, user: str, password: str) -> bool:
        """Whether these are the platform's credentials; takes the same time for any wrong ones."""
        return hmac.compare_digest(_digest(user, password), self._digest)

    def hosts(self) -> set[str]:
        """All hosts that answer: the routes', and the gateway's own."""
        return {*self.table.hosts(), GATEWAY_HOST, LANDING_HOST}

    def session(self, host: str, cookies: str) -> str | None:
        """The session behind a host's cookies, if there is one."""
        for name, value in _cookies(cookies):
            if name == self.cookie_name:
                session = self.sessions.find(host, value)
                if session is not None:
                    return session
        return None

    def from_here(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from a page of this gateway.

        Browsers say where it comes from (``Origin``, RFC 6454; ``Sec-Fetch-Site``, W3C Fetch Metadata) and
        pages cannot lie about it; what says neither is no browser.
        """
        if headers.get("sec-fetch-site") == "same-origin":
            return True
        origin = headers.get("origin")
        return origin is None or origin in {self.site.origin(host) for host in self.hosts()}

    def decide(self, check: Check) -> Decision:
        """Whether the request may pass, and with which headers."""
        host = self.site.host_of(check.authority)
        route = self.table.find(host, check.path) if host else None
        landing = host == LANDING_HOST and LANDING_HOST not in self.table.hosts() and check.path == "/"
        if host is None or (route is None and not landing):
            return _refusal(404, "no such host or path")
        web_socket = "sec-websocket-key" in check.headers
        if (web_socket or check.method not in _SAFE) and not self.from_here(check.headers):
            return _refusal(403, "the request comes from a page of another site")
        session = self.session(host, check.headers.get("cookie", ""))
        if session is not None:
            own = [given for given in check.authorizations if not self._is_platform(given)]
            return self._allow(check, route, self.sessions.user(session), own=bool(own))
        return self._by_authorization(check, host, route)

    def _by_authorization(self, check: Check, host: str, route: Route | None) -> Decision:
        if len(check.authorizations) > 1:
            return _refusal(400, "more than one Authorization header")
        given = check.authorizations[0] if check.authorizations else None
        passes_on = route is not None and "authorization" in route.headers
        basic = _basic(given) if given else None
        # Who calls with the upstream's own credentials guesses at nothing of ours.
        foreign = passes_on and basic is not None and not self._guesses(basic, given, route)
        if basic is not None and not foreign:
            wait = self._basic_brake.wait()
            if wait and not passes_on:
                return _refusal(429, "too many wrong passwords", {"retry-after": str(wait)})
            if not wait and self.knows(*basic):
                return self._allow(check, route, self._user, own=False)
            self._basic_brake.failed()
        if given and passes_on:
            return self._pass_on(check, route)
        return self._ask(check, host)

    def _is_platform(self, authorization: str) -> bool:
        basic = _basic(authorization)
        return basic is not None and self.knows(*basic)

    def _guesses(self, basic: tuple[str, str], given: str | None, route: Route | None) -> bool:
        return basic[0] == self._user and (route is None or given != route.headers.get("authorization"))

    def _allow(self, check: Check, route: Route | None, user: str, *, own: bool) -> Decision:
        """Let it pass as the platform's user; ``own``: their Authorization is the upstream's affair."""
        headers = {USER_HEADER: user}
        removed = []
        if route is not None:
            headers.update(route.headers)
        if own:
            headers.pop("authorization", None)
        elif check.authorizations and "authorization" not in headers:
            removed.append("authorization")
        return _passed(headers, removed, check)

    def _pass_on(self, check: Check, route: Route | None) -> Decision:
        """Let the upstream judge: nothing goes with it that only the platform may say."""
        removed = [name for name in (route.headers if route else {}) if name != "authorization"]
        return _passed({}, removed, check)

    def _ask(self, check: Check, host: str) -> Decision:
        headers = check.headers
        navigation = (
            check.method == "GET"
            and "text/html" in headers.get("accept", "")
            and "sec-websocket-key" not in headers
            and headers.get("sec-fetch-mode", "navigate") == "navigate"
        )
        if navigation:
            back = quote(self.site.origin(host) + check.target, safe="")
            location = f"{self.site.origin(GATEWAY_HOST)}/sign-in?next={back}"
            return Decision(302, {"location": location, "cache-control": "no-store"})
        # A browser's own password box would come up over a page whose session has ended.
        scripted = "sec-fetch-mode" in headers
        challenge = {} if scripted else {"www-authenticate": 'Basic realm="Millpond", charset="UTF-8"'}
        return _refusal(
            401,
            "sign in first",
            challenge,
            hint=f"{self.site.origin(GATEWAY_HOST)}/sign-in, or HTTP Basic; millpond credentials gateway",
        )

    def destination(self, target: str) -> tuple[str, str] | None:
        """Host and path of a ``next`` address, if it leads to a host of this gateway; None otherwise.

        It is rebuilt from its parts, so that nothing that a browser reads otherwise than we do gets through.
        """
        if not target or any(ord(char) <= 32 or ord(char) > 126 or char == "\\" for char in target):
            return None
        try:
            parts = urlsplit(target)
            port = parts.port or self.site.usual_port
        except ValueError:
            return None
        if parts.scheme != self.site.scheme or "@" in parts.netloc or port != self.site.outer_port:
            return None
        host = self.site.host_of(parts.netloc)
        if host is None or host not in self.hosts() - {GATEWAY_HOST}:
            return None
        path = "/" + parts.path.lstrip("/")
        return host, path + (f"?{parts.query}" if parts.query else "")


def _digest(user: str, password: str) -> bytes:
    joined = hashlib.sha256(user.encode("utf-8", "replace")).digest() + password.encode("utf-8", "replace")
    return hashlib.sha256(joined).digest()


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, rest = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(rest.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return (user, password) if colon else ("", "")


def _cookies(header: str) -> Iterable[tuple[str, str]]:
    for part in header.split(";"):
        name, _, value = part.strip().partition("=")
        yield name, value


def _passed(headers: dict[str, str], removed: list[str], check: Check) -> Decision:
    cookies = check.headers.get("cookie")
    if cookies is not None and COOKIE_PREFIX in cookies:
        kept = [part.strip() for part in cookies.split(";") if not part.strip().startswith(COOKIE_PREFIX)]
        if kept:
            headers["cookie"] = "; ".join(kept)
        else:
            removed.append("cookie")
    if removed:
        headers[_REMOVE] = ",".join(removed)
    return Decision(200, headers)


def _refusal(
    status: int, error: str, headers: dict[str, str] | None = None, hint: str | None = None
) -> Decision:
    body = {"error": error, **({"hint": hint} if hint else {})}
    return Decision(
        status,
        {"content-type": "application/json", "cache-control": "no-store", **(headers or {})},
        json.dumps(body).encode(),
    )
