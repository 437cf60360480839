"""The platform's routes from a file, where nobody is there who would put them: in a pod.

``MILLPOND_GATEWAY_ROUTES`` names a JSON file of the form that ``PUT /routes/<owner>`` takes. Beyond that
form, a route may have ``credentials``: the user name and password by which the gateway signs its users in
upstream, or the names of the environment variables that hold them, so that the file need not be secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millpond.gateway import store
from millpond.gateway.document import parse_routes
from millpond.gateway.routes import Route, RouteError
from millpond.model.errors import MillpondError, did_you_mean

OWNER = "platform"
VARIABLE = "MILLPOND_GATEWAY_ROUTES"

_PARTS = ("username", "password")
_KEYS = tuple(f"{part}{suffix}" for part in _PARTS for suffix in ("", "_env"))


def read(environment: Mapping[str, str]) -> tuple[Route, ...] | None:
    """The routes of the file; None when no file is given.

    Raises:
        MillpondError: the file is not there, or no JSON object.
        RouteError: something in it cannot be routed, with its place.
    """
    name = environment.get(VARIABLE)
    if not name:
        return None
    found = store.read(Path(name))
    if found is None:
        raise MillpondError(f"{VARIABLE} names {name}, which is not there", hint="mount the file there")
    routes = found.get("routes")
    if isinstance(routes, list):
        found["routes"] = [
            _signed_in(route, f"routes[{index}]", environment) for index, route in enumerate(routes)
        ]
    return parse_routes(found)


def _signed_in(route: Any, at: str, environment: Mapping[str, str]) -> Any:
    """The route with the header that its ``credentials`` stand for."""
    if not isinstance(route, dict) or route.get("credentials") is None:
        return route
    pair = route["credentials"]
    at = f"{at}: credentials"
    if not isinstance(pair, dict):
        raise RouteError(f"{at} is not an object")
    for key in pair:
        if key not in _KEYS:
            raise RouteError(f"{at}: unknown key {key!r}", hint=did_you_mean(str(key), _KEYS))
    user, password = (_part(pair, part, at, environment) for part in _PARTS)
    if ":" in user:
        raise RouteError(f"{at}: a user name for HTTP Basic has no colon", hint="RFC 7617")
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    headers = {**(route.get("headers") or {}), "authorization": f"Basic {encoded}"}
    kept = {key: value for key, value in route.items() if key != "credentials"}
    return {**kept, "headers": headers}


def _part(pair: Mapping[str, object], part: str, at: str, environment: Mapping[str, str]) -> str:
    text, variable = pair.get(part), pair.get(f"{part}_env")
    if (text is None) == (variable is None):
        raise RouteError(f"{at}: it has to have one of {part} and {part}_env")
    if variable is not None:
        text = environment.get(str(variable))
        if not text:
            raise RouteError(f"{at}: {variable} is not set", hint="give the agent the variable")
    if not isinstance(text, str):
        raise RouteError(f"{at}: {part} is no text")
    return text
