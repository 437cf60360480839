"""A deployment's routes at the gateway: its own host, and its models' paths on the shared one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

from millpond.gateway.client import GatewayClient
from millpond.serving.controller.processes import HOST

SHARED_HOST = "serving"


class Routes(Protocol):
    """What the controller asks of the gateway."""

    async def lead(self, name: str, port: int) -> str:
        """Lead the deployment's traffic to a port, and return its public URL once it does."""

    async def remove(self, name: str) -> None:
        """Remove the deployment's routes."""


class GatewayRoutes:
    """Routes at the gateway's agent; each call returns when Envoy has them."""

    def __init__(self, client: GatewayClient) -> None:
        self._client = client

    async def lead(self, name: str, port: int) -> str:
        """Lead ``NAME.localhost`` and ``serving.localhost/v?/models/NAME`` to the port."""
        urls = await asyncio.to_thread(self._client.put_routes, _owner(name), _routes(name, port))
        return urls[0]

    async def remove(self, name: str) -> None:
        """Remove both."""
        await asyncio.to_thread(self._client.delete_routes, _owner(name))


class NoRoutes:
    """Serving without a gateway: a deployment's URL is its process's."""

    async def lead(self, name: str, port: int) -> str:
        """The process's own URL."""
        return f"http://{HOST}:{port}"

    async def remove(self, name: str) -> None:
        """Nothing was registered."""


def routes_from(environment: Mapping[str, str]) -> Routes:
    """The gateway of the environment, or none."""
    if environment.get("MILLPOND_GATEWAY_API"):
        return GatewayRoutes(GatewayClient.from_env(environment))
    return NoRoutes()


def _owner(name: str) -> str:
    return f"serving-{name}"


def _routes(name: str, port: int) -> list[dict[str, Any]]:
    # Programs predict, not browsers: no sign-in page stands before a model.
    to: dict[str, Any] = {"upstreams": [{"address": f"{HOST}:{port}", "weight": 100}], "sign_in": False}
    paths = [f"/v2/models/{name}", f"/v1/models/{name}", f"/v1/models/{name}:predict"]
    return [{"host": name, "title": f"Model {name}", **to}, {"host": SHARED_HOST, "paths": paths, **to}]
