"""The graphs of a platform on a cluster without KServe, moved on by whoever looks at them.

What is remembered of a graph stands in its ConfigMap, beside what its router reads. A graph is answered for
once its routers are ready; then requests are led there.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.client import ServingError
from millpond.serving.cluster import graph_objects as objects
from millpond.serving.cluster import jobs, routes
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.diagnosis import State, state
from millpond.serving.cluster.graph_objects import GRAPH
from millpond.serving.cluster.memory import Memory
from millpond.serving.cluster.objects import PLATFORM, PORT
from millpond.serving.controller.status import now
from millpond.serving.inferencegraph import InferenceGraph, from_document
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names

Data = dict[str, Any]

_KEY = "record.json"
_KINDS = (
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)


@dataclass
class Kept:
    """What is remembered of a graph.

    Args:
        document: the graph as it was written.
        uid: made once.
        created: when it was first applied.
        generation: counts what was asked for.
        observed: the generation that is served, or that failed.
        routed: the generation whose routes were made; 0 for none.
        services: the addresses that its routers were told, by deployment.
    """

    document: Data
    uid: str
    created: str
    generation: int = 0
    observed: int = 0
    routed: int = 0
    services: dict[str, str] = field(default_factory=dict)

    @property
    def graph(self) -> InferenceGraph:
        """The graph."""
        return from_document(self.document)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def led(self) -> bool:
        """Whether requests are led to it as it is wanted."""
        return self.routed == self.generation


class Graphs:
    """Applies, reads and deletes graphs.

    A graph is written only over the version that was read: of two commands at once, one is refused.

    Args:
        cluster: the API.
        context: where.
        memory: what is remembered of the deployments that graphs call.
    """

    def __init__(self, cluster: Cluster, context: Context, memory: Memory) -> None:
        self._cluster = cluster
        self._context = context
        self._memory = memory
        self._versions: dict[str, str] = {}

    async def apply(self, graph: InferenceGraph) -> Data:
        """Take a graph as what is wanted from now on.

        Raises:
            MillpondError: it asks for what is not done here.
        """
        objects.check(graph, self._context)
        kept = await self._load(graph.metadata.name)
        if kept is None:
            kept = Kept(graph.document(), str(uuid.uuid4()), now())
        if kept.document != graph.document() or not kept.generation:
            kept.document = graph.document()
            kept.generation += 1
        await self._bring(kept)
        return await self._look(kept)

    async def get(self, name: str) -> Data | None:
        """A graph with its status, moved on by a step; None when there is none."""
        kept = await self._load(name)
        return None if kept is None else await self._look(kept)

    async def every(self) -> list[Data]:
        """All graphs by name, each moved on by a step."""
        return [await self._look(kept) for kept in await self._all()]

    async def refresh(self, service: str) -> None:
        """Tell the routers that call a deployment where it is now."""
        for kept in await self._all():
            if service in kept.graph.services():
                await self._look(kept)

    async def delete(self, name: str) -> None:
        """Stop a graph and forget it.

        Raises:
            ServingError: there is none (status 404).
        """
        kept = await self._load(name)
        if kept is None:
            raise ServingError(f"there is no graph {name}", status=404)
        if kept.routed and self._context.gateway and self._context.entrance:
            await jobs.published(self._cluster, self._context, name, [], whose="graph")
        await self._prune(name, [])
        await self._cluster.delete(self._config(kept), propagation="Background")

    # --- inside -------------------------------------------------------------------------------------------

    async def _bring(self, kept: Kept) -> None:
        """Have the graph run as it is wanted; what it has no more is gone."""
        kept.services = await self._addresses(kept)
        await self._save(kept)
        wanted = objects.running(self._context, kept.graph, kept.services)
        for each in wanted:
            await self._cluster.apply(each, force=True)
        if self._context.http_routes:
            wanted += objects.http_routes(self._context, kept.graph)
        await self._prune(kept.name, wanted)

    async def _look(self, kept: Kept) -> Data:
        if kept.services != await self._addresses(kept):
            await self._bring(kept)
        namespace = self._context.namespace
        deployment = await self._cluster.get("apps/v1", "Deployment", kept.name, namespace)
        pods = await self._cluster.list("v1", "Pod", namespace=namespace, labels={GRAPH: kept.name})
        found = state(deployment, pods)
        waits = found.message
        if found.ready and not kept.led:
            waits = await self._route(kept) or ""
        if (found.failed or (found.ready and kept.led)) and kept.observed < kept.generation:
            kept.observed = kept.generation
            await self._save(kept)
        return self._shown(kept, found, waits)

    async def _route(self, kept: Kept) -> str | None:
        """Lead requests to the graph; what that still waits for, or None."""
        if self._context.http_routes:
            made = objects.http_routes(self._context, kept.graph)
            applied = [await self._cluster.apply(each, force=True) for each in made]
            waits = next((told for told in map(routes.taken, applied) if told), None)
            if waits is not None:
                return waits
        elif self._context.gateway:
            wanted = objects.gateway_routes(self._context, kept.graph)
            await jobs.published(self._cluster, self._context, kept.name, wanted, whose="graph")
        kept.routed = kept.generation
        return None

    async def _addresses(self, kept: Kept) -> dict[str, str]:
        """The addresses of the deployments that are there, of those that the graph calls."""
        records = [await self._memory.load(service) for service in kept.graph.services()]
        return {each.name: objects.address(self._context, each.document) for each in records if each}

    async def _prune(self, name: str, wanted: list[Object]) -> None:
        stays = {(each["kind"], each["metadata"]["name"]) for each in wanted}
        for api_version, kind in _KINDS:
            if not await self._cluster.serves(api_version, kind):
                continue
            for each in await self._cluster.list(
                api_version,
                kind,
                namespace=self._context.namespace,
                labels={PLATFORM: self._context.platform, GRAPH: name},
            ):
                if (kind, each["metadata"]["name"]) not in stays:
                    await self._cluster.delete(each, propagation="Background")

    async def _load(self, name: str) -> Kept | None:
        own = names.resource("graph", name)
        found = await self._cluster.get("v1", "ConfigMap", own, self._context.namespace)
        return None if found is None else self._read(found)

    async def _all(self) -> list[Kept]:
        wanted = {PLATFORM: self._context.platform, GRAPH: ""}
        found = await self._cluster.list("v1", "ConfigMap", namespace=self._context.namespace, labels=wanted)
        every = [kept for kept in map(self._read, found) if kept is not None]
        return sorted(every, key=lambda kept: kept.name)

    async def _save(self, kept: Kept) -> None:
        wanted = self._config(kept)
        if kept.name in self._versions:
            wanted["metadata"]["resourceVersion"] = self._versions[kept.name]
        applied = await self._cluster.apply(wanted)
        self._versions[kept.name] = str(applied["metadata"].get("resourceVersion", ""))

    def _read(self, found: Object) -> Kept | None:
        text = (found.get("data") or {}).get(_KEY)
        if text is None:
            return None
        kept = Kept(**json.loads(text))
        self._versions[kept.name] = str(found["metadata"].get("resourceVersion", ""))
        return kept

    def _config(self, kept: Kept) -> Object:
        remembered = json.dumps(asdict(kept), indent=1, sort_keys=True)
        return objects.config(self._context, kept.graph, kept.services, remembered)

    def _shown(self, kept: Kept, found: State, waits: str) -> Data:
        missing = [name for name in kept.graph.services() if name not in kept.services]
        condition: Data = {"type": "Ready", "status": "True"}
        if found.failed:
            condition |= {"status": "False", "reason": "RouterFailed", "message": found.message}
        elif missing:
            said = f"there is no deployment {', '.join(missing)}"
            condition |= {"status": "False", "reason": "ServiceMissing", "message": said}
        elif not (found.ready and kept.led):
            condition |= {"status": "Unknown", "reason": "Progressing", "message": waits}
        metadata = {
            **kept.document["metadata"],
            "uid": kept.uid,
            "generation": kept.generation,
            "resourceVersion": str(kept.generation),
            "creationTimestamp": kept.created,
        }
        status: Data = {"observedGeneration": kept.observed, "conditions": [condition]}
        status["deploymentMode"] = "RawDeployment"
        status["address"] = {"url": f"http://{self._context.address(kept.name, PORT)}"}
        url = self._context.url(kept.name) if kept.routed else None
        if url is not None:
            status["url"] = url
        return {**kept.document, "metadata": metadata, "status": status}


async def check_name(cluster: Cluster, context: Context, name: str, *, graph: bool) -> None:
    """Refuse a name that something else of the platform has: one host and one Service cannot lead to two.

    Raises:
        MillpondError: it is taken.
    """
    other = "deployment" if graph else "graph"
    what = None
    if await cluster.get("v1", "ConfigMap", names.resource(other, name), context.namespace):
        what = f"a {other}"
    else:
        service = await cluster.get("v1", "Service", name, context.namespace)
        told = ((service or {}).get("metadata") or {}).get("labels") or {}
        if service is not None and PLATFORM not in told:
            what = "another Service of the namespace"
    if what is not None:
        raise MillpondError(f"{name} is the name of {what}", hint="choose another")
