"""Small bundles, and engines on the mock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from kubernetes.engine.mockserver import MockServer
from millpond.model.events import ComponentEvent
from millpond.model.value import Filtered, Secret, Value
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.api.transport import Transport
from millpond.targets.kubernetes.bundle import (
    COMPONENT,
    MANAGED_BY,
    PART_OF,
    Bundle,
    Object,
    SecretObject,
    Unit,
)
from millpond.targets.kubernetes.engine import Engine

NAME = "mill"


def obj(api_version: str, kind: str, name: str, unit: str, **rest: Any) -> Object:
    """An object with the platform's labels."""
    inside = {} if kind == "Namespace" else {"namespace": NAME}
    labels = {PART_OF: NAME, MANAGED_BY: "millpond", COMPONENT: unit}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, **inside, "labels": labels},
        **rest,
    }


def unit(
    name: str, value: str = "1", waits_for: tuple[str, ...] = (), job: bool = False, claim: bool = False
) -> Unit:
    """A component with a ConfigMap, a Service, a Deployment, and what is asked for besides."""
    pod = {"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": value}]}]}
    template = {"metadata": {"labels": {"a": name}}, "spec": pod}
    objects = [
        obj("v1", "ConfigMap", f"{name}-files", name, data={"a.txt": value}),
        obj("v1", "Service", name, name, spec={"ports": [{"port": 80}]}),
        obj("apps/v1", "Deployment", name, name, spec={"replicas": 1, "template": template}),
    ]
    if claim:
        objects.append(obj("v1", "PersistentVolumeClaim", f"{name}-data", name, spec={"size": "1Gi"}))
    then = (obj("batch/v1", "Job", f"{name}-job", name, spec={"template": template}),) if job else ()
    return Unit(name, tuple(objects), then, waits_for)


def bundle(*units: Unit) -> Bundle:
    """A platform of these components, each with a secret and a text composed of it."""
    own = {found.name: Value((Secret(found.name, "password"),)) for found in units}
    secrets = tuple(
        SecretObject(
            f"{name}-secrets",
            {
                "password": value,
                "uri": Value(("pg://me:", Filtered("urlquote", value), "@db")),
            },
            name,
            {"password": 40},
        )
        for name, value in own.items()
    )
    platform = Unit("platform", (obj("v1", "Namespace", NAME, "platform"),))
    return Bundle(NAME, NAME, {"platform": platform, **{found.name: found for found in units}}, secrets)


@asynccontextmanager
async def served(patience: float = 5.0) -> AsyncIterator[tuple[MockServer, Cluster]]:
    """A mock that listens, and a cluster that speaks to it."""
    server = MockServer()
    await server.start()
    client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False)
    cluster = Cluster(Transport(client, "mock", patience=patience), NAME)
    try:
        yield server, cluster
    finally:
        await cluster.aclose()
        await server.stop()


def run(test: Callable[[MockServer, Cluster], Coroutine[Any, Any, None]], patience: float = 5.0) -> None:
    """Run a test on a mock, in a bounded time."""

    async def whole() -> None:
        async with served(patience) as (server, cluster), asyncio.timeout(30):
            await test(server, cluster)

    asyncio.run(whole())


async def up(cluster: Cluster, wished: Bundle, **more: Any) -> dict[str, list[ComponentEvent]]:
    """Apply a bundle; the events of each component."""
    events: dict[str, list[ComponentEvent]] = {}
    await Engine(cluster, wished).apply(lambda e: events.setdefault(e.component, []).append(e), **more)
    return events
