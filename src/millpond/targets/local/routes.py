"""Tells the gateway where the components listen that a browser opens.

The gateway's agent takes routes over HTTP with a bearer token; each owner replaces its own set. The platform
itself is the owner ``platform``; others, such as model serving, add theirs at run time.
"""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from millpond.model.component import SignIn
from millpond.model.errors import MillpondError
from millpond.model.platform import Platform
from millpond.model.scope import Scope
from millpond.targets.local.realise import LOOPBACK, Realiser

OWNER = "platform"


def routes(platform: Platform, realiser: Realiser) -> list[dict[str, Any]]:
    """One route for each component that a browser opens; holds secrets."""
    found = []
    entrance = platform.gateway
    for name, node in platform.nodes.items():
        service = node.component.service
        if service.open is None or name == entrance:
            continue
        port = realiser.state.nodes[name].ports[service.open.port]
        route: dict[str, Any] = {
            "host": name,
            "upstreams": [{"address": f"{LOOPBACK}:{port}", "weight": 100}],
            "sign_in": not service.open.public,
            "title": service.open.title or node.component.summary,
        }
        if service.open.sign_in:
            route["headers"] = {"authorization": _basic(realiser, name, service.open.sign_in)}
        found.append(route)
    return found


def _basic(realiser: Realiser, node: str, sign_in: SignIn) -> str:
    pair = f"{realiser.template(node, sign_in.username)}:{realiser.template(node, sign_in.password)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def put_routes(platform: Platform, realiser: Realiser, node: str) -> None:
    """Put the platform's routes; returns when the gateway serves them.

    Raises:
        MillpondError: the gateway refuses them or does not answer.
    """
    provision = platform.nodes[node].component.provides
    name = next(name for name, found in provision.items() if found.interface == "gateway")
    scope = Scope(platform, platform.nodes[node])
    api, token = (realiser.text(scope.value(provision[name].properties[key])) for key in ("api", "token"))
    # Asked for here, as a `plan` with nothing to do should not wait for an HTTP client.
    import urllib.error
    import urllib.request

    request = urllib.request.Request(
        f"{api}/routes/{OWNER}",
        data=json.dumps({"routes": routes(platform, realiser)}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        method="PUT",
    )
    # The loopback address is not reached through a proxy, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 15
    while True:
        try:
            with opener.open(request, timeout=30):
                return
        except urllib.error.HTTPError as error:
            reason = error.read(2000).decode(errors="replace").strip()
            raise MillpondError(f"{node} refuses the platform's routes: {reason}") from None
        except OSError as error:
            if time.monotonic() > deadline:
                raise MillpondError(f"{node} does not take routes: {error}") from None
            time.sleep(0.1)
