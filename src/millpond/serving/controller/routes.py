"""The gateway as the controller knows it: routes are put by owner, and hold when the call returns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from millpond.gateway.client import GatewayClient
from millpond.serving.controller.processes import HOST


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
        urls = await asyncio.to_thread(self._client.put_routes, f"serving-{owner}", routes)
        return urls[0]

    async def remove(self, owner: str) -> None:
        """Remove them."""
        await asyncio.to_thread(self._client.delete_routes, f"serving-{owner}")


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


def routes_from(environment: Mapping[str, str]) -> Routes:
    """The gateway of the environment, or none."""
    if environment.get("MILLPOND_GATEWAY_API"):
        return GatewayRoutes(GatewayClient.from_env(environment))
    return NoRoutes()
