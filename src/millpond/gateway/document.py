"""The body of ``PUT /routes/<owner>``: read, judged, and made into routes.

The one place that says what may be routed. A body is refused as a whole, with the place in it and the reason
in its owner's words.
"""

from __future__ import annotations

import ipaddress
import math
import re

from millpond.gateway.routes import (
    COOKIE_PREFIX,
    GATEWAY_HOST,
    Match,
    Mirror,
    Route,
    RouteError,
    Sticky,
    Upstream,
    When,
)
from millpond.model.errors import did_you_mean

PROTOCOLS = ("http1", "h2c")
STRIPPED_HEADERS = ("x-millpond-", "x-envoy-", "x-forwarded-")
"""What a client sends by these names is removed at the door."""

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_OWNER = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,98}[a-z0-9])?")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_SET_HEADER = re.compile(r"authorization|x-[a-z0-9-]+")
_SEEN_HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_COOKIE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*")
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_ROUTE_KEYS = (
    *("host", "upstreams", "sign_in", "headers", "paths", "rewrite", "title"),
    *("mirrors", "sticky", "when", "timeout", "max_body", "body_timeout"),
)
_DAY = 86400
_LARGEST_BODY = 1 << 30


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
    found = tuple(_route(item, f"routes[{index}]") for index, item in enumerate(routes))
    seen: dict[tuple[str, Match], int] = {}
    for index, route in enumerate(found):
        for match in route.matches:
            first = seen.setdefault((route.host, match), index)
            if first != index:
                raise RouteError(
                    f"routes[{index}] ({route.host}): {match} is routes[{first}]'s already",
                    hint="two routes of a host differ by their paths or by when",
                )
    return found


def _route(item: object, at: str) -> Route:
    found = _mapping(item, at, _ROUTE_KEYS)
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
    when = _when(found.get("when"), f"{at}: when")
    if when is not None and sign_in:
        raise RouteError(
            f"{at}: a route behind the sign-in cannot depend on a header", hint="set sign_in: false"
        )
    upstreams = _upstreams(found.get("upstreams"), at)
    sticky = _sticky(found.get("sticky"), f"{at}: sticky")
    if sticky is not None and len(upstreams) == 1:
        raise RouteError(
            f"{at}: sticky needs several upstreams to choose from", hint="add an upstream, or leave it out"
        )
    return Route(
        host=host,
        upstreams=upstreams,
        sign_in=sign_in,
        headers=headers,
        paths=_paths(found.get("paths"), at),
        rewrite=_rewrite(found.get("rewrite"), at),
        title=_title(found.get("title"), at),
        mirrors=_mirrors(found.get("mirrors"), upstreams, at),
        sticky=sticky,
        when=when,
        timeout=_number(found.get("timeout"), f"{at}: timeout", "seconds", 0.0, _DAY),
        max_body=_whole(found.get("max_body"), f"{at}: max_body", "bytes", 1, _LARGEST_BODY),
        body_timeout=_number(found.get("body_timeout"), f"{at}: body_timeout", "seconds", 60.0, _DAY),
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
    _each_once(upstreams, f"{at}: an upstream", "add the two weights up")
    return upstreams


def _upstream(item: object, at: str) -> Upstream:
    found = _mapping(item, at, ("address", "addresses", "weight", "protocol", "name"))
    weight = found.get("weight", 100)
    if not isinstance(weight, int) or isinstance(weight, bool) or not 0 <= weight <= 1_000_000:
        raise RouteError(f"{at}: weight {weight!r} is not a whole number from 0 to 1000000")
    return Upstream(_addresses(found, at), weight, _protocol(found, at), _name(found, at))


def _mirrors(found: object, upstreams: tuple[Upstream, ...], at: str) -> tuple[Mirror, ...]:
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RouteError(f"{at}: mirrors is not a list")
    mirrors = tuple(_mirror(item, f"{at}: mirrors[{index}]") for index, item in enumerate(found))
    for index, mirror in enumerate(mirrors):
        if mirror.protocol == "http1" and any(upstream.protocol == "h2c" for upstream in upstreams):
            # It would be sent streams that it cannot read, and could not be kept from stopping them.
            raise RouteError(
                f"{at}: mirrors[{index}]: an http1 mirror beside an h2c upstream", hint="set protocol: h2c"
            )
    _each_once(mirrors, f"{at}: a mirror", "name each once")
    return mirrors


def _mirror(item: object, at: str) -> Mirror:
    found = _mapping(item, at, ("address", "addresses", "percent", "protocol", "name"))
    percent = _number(found.get("percent"), f"{at}: percent", "percent", 100.0, 100)
    return Mirror(_addresses(found, at), percent, _protocol(found, at), _name(found, at))


def _each_once(targets: tuple[Upstream, ...] | tuple[Mirror, ...], what: str, hint: str) -> None:
    addresses = [address for target in targets for address in target.addresses]
    names = [target.name for target in targets if target.name]
    if len(set(addresses)) != len(addresses) or len(set(names)) != len(names):
        raise RouteError(f"{what} is named twice", hint=hint)


def _addresses(found: dict[str, object], at: str) -> tuple[str, ...]:
    if "addresses" not in found:
        return (_address(found.get("address"), at),)
    if "address" in found:
        raise RouteError(f"{at}: it has both address and addresses", hint="leave address out")
    several = found["addresses"]
    if not isinstance(several, list) or not several:
        raise RouteError(f"{at}: addresses is not a list of at least one")
    addresses = tuple(_address(item, at) for item in several)
    if len(set(addresses)) != len(addresses):
        raise RouteError(f"{at}: an address is there twice", hint="name each replica once")
    return addresses


def _address(address: object, at: str) -> str:
    match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
    if not isinstance(address, str) or match is None or not _possible(match["host"], int(match["port"])):
        raise RouteError(f"{at}: {address!r} is not an address", hint="write it as 127.0.0.1:5000")
    return address


def _possible(host: str, port: int) -> bool:
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host.strip("[]"))
        except ValueError:
            return False
    return 0 < port < 65536


def _protocol(found: dict[str, object], at: str) -> str:
    protocol = found.get("protocol", "http1")
    if protocol not in PROTOCOLS:
        raise RouteError(f"{at}: unknown protocol {protocol!r}", hint=did_you_mean(str(protocol), PROTOCOLS))
    return str(protocol)


def _name(found: dict[str, object], at: str) -> str | None:
    name = found.get("name")
    if name is None:
        return None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RouteError(
            f"{at}: {name!r} is not a name", hint="use letters, digits, dots, underscores and dashes"
        )
    return name


def _sticky(found: object, at: str) -> Sticky | None:
    if found is None:
        return None
    keys = _mapping(found, at, ("cookie", "seconds", "header", "salt"))
    cookie, header, salt = keys.get("cookie"), keys.get("header"), keys.get("salt")
    if cookie is None and header is None:
        raise RouteError(
            f"{at}: neither a cookie nor a header tells users apart", hint='write {"cookie": "arm"}'
        )
    if cookie is not None and (
        not isinstance(cookie, str) or not _COOKIE.fullmatch(cookie) or cookie.startswith(COOKIE_PREFIX)
    ):
        raise RouteError(
            f"{at}: {cookie!r} is not a cookie's name",
            hint=f"at most 64 letters, digits, dots, underscores, dashes; not beginning with {COOKIE_PREFIX}",
        )
    if cookie is None and keys.get("seconds") is not None:
        raise RouteError(f"{at}: seconds is for a cookie, and there is none", hint="name a cookie")
    if salt is not None and (not isinstance(salt, str) or not _NAME.fullmatch(salt)):
        raise RouteError(
            f"{at}: salt {salt!r} is not a name", hint="use letters, digits, dots, underscores and dashes"
        )
    seconds = _whole(keys.get("seconds"), f"{at}: seconds", "seconds", 0, 400 * _DAY)
    return Sticky(
        cookie=cookie,
        seconds=Sticky.seconds if seconds is None else seconds,
        header=None if header is None else _seen_header(header, at),
        salt=salt,
    )


def _when(found: object, at: str) -> When | None:
    if found is None:
        return None
    keys = _mapping(found, at, ("header", "value"))
    header = _seen_header(keys.get("header"), at)
    if header in ("authorization", "cookie"):
        raise RouteError(f"{at}: the header {header} holds secrets", hint="use one of your own, as x-canary")
    value = keys.get("value")
    if value is None:
        return When(header)
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or value != value.strip()
        or not 0 < len(value) <= 1000
    ):
        raise RouteError(
            f"{at}: the value {value!r} is not printable ASCII of 1 to 1000 characters",
            hint="null stands for any value",
        )
    return When(header, value)


def _seen_header(found: object, at: str) -> str:
    """A request header that a route may look at, in lower case."""
    header = found.lower() if isinstance(found, str) else ""
    if not _SEEN_HEADER.fullmatch(header) or header == "host":
        raise RouteError(f"{at}: {found!r} is not a header's name", hint="write it as x-user-id")
    if header.startswith(STRIPPED_HEADERS):
        raise RouteError(
            f"{at}: the header {header} never arrives, as the gateway removes it",
            hint=f"choose one that does not begin with {', '.join(STRIPPED_HEADERS)}",
        )
    return header


def _number(found: object, at: str, unit: str, default: float, most: int) -> float:
    if found is None:
        return default
    if (
        not isinstance(found, int | float)
        or isinstance(found, bool)
        or not math.isfinite(found)
        or not 0 <= found <= most
    ):
        raise RouteError(f"{at}: {found!r} is not a number of {unit} from 0 to {most}")
    return float(found)


def _whole(found: object, at: str, unit: str, least: int, most: int) -> int | None:
    if found is None:
        return None
    if not isinstance(found, int) or isinstance(found, bool) or not least <= found <= most:
        raise RouteError(f"{at}: {found!r} is not a whole number of {unit} from {least} to {most}")
    return found


def _headers(found: object, at: str) -> dict[str, str]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise RouteError(f"{at}: headers is not an object")
    headers: dict[str, str] = {}
    for key, value in found.items():
        name = str(key).lower()
        if not _SET_HEADER.fullmatch(name) or name.startswith(STRIPPED_HEADERS):
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
