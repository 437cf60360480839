"""The gateway as the controller knows it: routes are put by owner, and hold when the call returns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol

from millpond.gateway.client import GatewayClient
from millpond.model.errors import MillpondError
from millpond.serving.controller.processes import HOST

log = logging.getLogger(__name__)


class Routes(Protocol):
    """What the controller asks of the gateway."""

    splits: bool
    """Whether traffic can be divided, mirrored, and kept waiting for a process."""

    async def put(self, owner: str, routes: list[dict[str, Any]]) -> str:
        """Exchange an owner's routes, and return the public URL of the first once they are served."""

    async def remove(self, owner: str) -> None:
        """Remove an owner's routes."""


class GatewayRoutes:
    """Routes at the gateway's agent; each call returns when Envoy has them."""

    splits = True

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def put(self, owner: str, routes: list[dict[str, Any]]) -> str:
        """Exchange an owner's routes."""
        urls = await asyncio.to_thread(self._client.put_routes, owner, routes)
        return urls[0]

    async def remove(self, owner: str) -> None:
        """Remove them."""
        await asyncio.to_thread(self._client.delete_routes, owner)


class NoRoutes:
    """Serving without a gateway: a deployment's URL is that of its first process."""

    splits = False

    async def put(self, owner: str, routes: list[dict[str, Any]]) -> str:
        """The first upstream's own URL."""
        for route in routes:
            for upstream in route["upstreams"]:
                return f"http://{upstream['addresses'][0]}"
        return f"http://{HOST}"

    async def remove(self, owner: str) -> None:
        """Nothing was registered."""


class MonitorPage:
    """The route to the monitor's pages, behind the sign-in; the gateway shows them their token.

    Args:
        routes: the gateway.
        port: the monitor's; None when there is none.
        token: its bearer token.
    """

    owner = "serving.monitor"

    def __init__(self, routes: Routes, port: int | None, token: str) -> None:
        self._routes = routes
        self._route = {
            "host": "monitor",
            "title": "What models predicted",
            "headers": {"authorization": f"Bearer {token}"},
            "upstreams": [{"addresses": [f"{HOST}:{port}"]}],
        }
        self._wanted = port is not None and routes.splits

    async def put(self) -> None:
        """Have the route, unless it is there; called again, it tries again."""
        if not self._wanted:
            return
        try:
            await self._routes.put(self.owner, [self._route])
            self._wanted = False
        except MillpondError as error:
            log.warning("the monitor's pages have no route: %s", error.message)


def routes_from(environment: Mapping[str, str]) -> Routes:
    """The gateway of the environment, or none."""
    if environment.get("MILLPOND_GATEWAY_API"):
        return GatewayRoutes(GatewayClient.from_env(environment))
    return NoRoutes()
