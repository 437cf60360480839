"""Inference graphs: kept here, run by the router, reached through the gateway.

A graph's steps name deployments. Their addresses are written down for the router whenever they may have
changed, so that it asks nobody while it answers.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.controller.routes import Routes
from millpond.serving.controller.status import now
from millpond.serving.controller.store import write, write_news
from millpond.serving.controller.traffic import HOST, seldon_routes
from millpond.serving.inferencegraph import InferenceGraph

log = logging.getLogger(__name__)

Addresses = Callable[[str], str | None]
"""Where a deployment predicts, by its name; None when there is no such deployment."""


class Graphs:
    """All graphs of the platform.

    Args:
        root: where they are remembered.
        told: the folder that the router reads.
        routes: who leads traffic to it.
        router: its port; None when there is no router.
        address: where a deployment predicts.
    """

    def __init__(
        self, root: Path, told: Path, routes: Routes, router: int | None, address: Addresses
    ) -> None:
        self._root = root
        self._told = told
        self._routes = routes
        self._router = router
        self._address = address
        self._all: dict[str, dict[str, Any]] = {}

    async def begin(self) -> None:
        """Read what is remembered, and lead to it."""
        for path in sorted(self._root.glob("*.json")):
            kept = json.loads(path.read_text())
            self._all[kept["name"]] = kept
            await self._publish(kept)

    def names(self) -> set[str]:
        """The names that graphs have."""
        return set(self._all)

    async def apply(self, graph: InferenceGraph) -> dict[str, Any]:
        """Take a graph as what is wanted from now on.

        Raises:
            MillpondError: there is no router, or the gateway does not take the route.
        """
        if self._router is None:
            raise MillpondError("graphs need the router, which does not run here", hint="millpond up")
        name, namespace = graph.metadata.name, graph.metadata.namespace
        before = self._all.get(name)
        kept: dict[str, Any] = {
            "name": name,
            "namespace": namespace,
            "document": graph.document(),
            "services": graph.services(),
            "uid": before["uid"] if before else str(uuid.uuid4()),
            "created": before["created"] if before else now(),
            "generation": (before["generation"] if before else 0) + 1,
            "url": before["url"] if before else None,
            "failure": None,
        }
        self._all[name] = kept
        await self._publish(kept)
        write(self._root / f"{name}.json", kept)
        return self._shown(kept)

    async def refresh(self) -> None:
        """Write the deployments' addresses anew, and bring back routes that could not be had."""
        for kept in self._all.values():
            self._tell(kept)
            if kept["failure"] is not None:
                await self._publish(kept)

    def get(self, namespace: str, name: str) -> dict[str, Any] | None:
        """One graph; None when there is none."""
        kept = self._all.get(name)
        return None if kept is None or kept["namespace"] != namespace else self._shown(kept)

    def listed(self, namespace: str | None) -> list[dict[str, Any]]:
        """The graphs of a namespace, or all, by name."""
        found = [self._all[name] for name in sorted(self._all)]
        return [self._shown(kept) for kept in found if namespace in (None, kept["namespace"])]

    async def delete(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Forget a graph; None when there is none."""
        found = self.get(namespace, name)
        if found is None:
            return None
        self._all.pop(name)
        with suppress(MillpondError):
            await self._routes.remove(_owner(name))
        for path in (self._root / f"{name}.json", self._told / f"{name}.json"):
            path.unlink(missing_ok=True)
        return found

    async def _publish(self, kept: dict[str, Any]) -> None:
        self._tell(kept)
        route = {
            "host": kept["name"],
            "title": f"Graph {kept['name']}",
            "sign_in": False,
            "upstreams": [{"addresses": [f"{HOST}:{self._router}"]}],
        }
        routes = [route]
        if self._router is not None:
            routes.append(seldon_routes(kept["name"], kept["namespace"], self._router)[1])
        try:
            kept["url"] = await self._routes.put(_owner(kept["name"]), routes)
            kept["failure"] = None
        except MillpondError as error:
            log.warning("graph %s: %s", kept["name"], error.message)
            kept["failure"] = error.message
        if not self._routes.splits:
            kept["url"] = f"http://{HOST}:{self._router}/graphs/{kept['name']}"

    def _tell(self, kept: dict[str, Any]) -> None:
        services = {name: self._address(name) for name in kept["services"]}
        wanted = {
            "document": kept["document"],
            "services": {name: address for name, address in services.items() if address is not None},
        }
        write_news(self._told / f"{kept['name']}.json", wanted)

    def _shown(self, kept: dict[str, Any]) -> dict[str, Any]:
        document = kept["document"]
        missing = [name for name in kept["services"] if self._address(name) is None]
        ready = kept["failure"] is None and not missing
        condition: dict[str, Any] = {"type": "Ready", "status": str(ready)}
        if missing:
            said = f"there is no deployment {', '.join(missing)}"
            condition |= {"reason": "ServiceMissing", "message": said}
        elif kept["failure"] is not None:
            condition |= {"reason": "GatewayFailed", "message": kept["failure"]}
        metadata = {
            **document["metadata"],
            "uid": kept["uid"],
            "generation": kept["generation"],
            "resourceVersion": str(kept["generation"]),
            "creationTimestamp": kept["created"],
        }
        status: dict[str, Any] = {"observedGeneration": kept["generation"], "conditions": [condition]}
        if kept["url"] is not None:
            status["url"] = kept["url"]
        return {**document, "metadata": metadata, "status": status}


def _owner(name: str) -> str:
    # No deployment's name has a dot, so that the two never meet.
    return f"serving.graph.{name}"
