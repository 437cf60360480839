"""The deployments of a platform on a cluster, behind the calls that commands make to the controller.

Each call talks to the cluster's API and returns; what takes longer goes on with the next one. Where KServe is
installed the documents are its own affair.
"""

from __future__ import annotations

import asyncio
import builtins
import hashlib
import json
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from millpond.model.errors import MillpondError
from millpond.serving.client import Answer, ServingError
from millpond.serving.cluster import jobs, kserve, refusals
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.forward import ask
from millpond.serving.cluster.graphs import Graphs, check_name
from millpond.serving.cluster.memory import Memory
from millpond.serving.cluster.objects import PORT
from millpond.serving.cluster.rollout import Rollout
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.observer import settings_of
from millpond.serving.controller.revisions import meant, revision_of
from millpond.serving.controller.status import now
from millpond.serving.controller.store import Record
from millpond.serving.inferencegraph import from_document
from millpond.serving.inferenceservice import DEFAULT_NAMESPACE, InferenceService
from millpond.targets.kubernetes.api import Cluster

Data = dict[str, Any]
Result = TypeVar("Result")
_HTTP_ROUTES = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "httproutes.gateway.networking.k8s.io")
_CHANNEL = "gateway.networking.k8s.io/channel"


class ClusterDeployments:
    """Applies, reads and deletes deployments, and asks them for predictions, as `ServingClient` does.

    Args:
        context: where.
        connect: opens the cluster's API.
    """

    def __init__(self, context: Context, connect: Callable[[], Cluster]) -> None:
        self._context = context
        self._connect = connect
        self._runner = asyncio.Runner()
        self._opened: Cluster | None = None
        self._known: Context | None = None

    def __enter__(self) -> ClusterDeployments:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        if self._opened is not None:
            self._runner.run(self._opened.aclose())
        self._runner.close()

    # --- what the controller's client does ----------------------------------------------------------------

    def apply(self, document: Mapping[str, Any]) -> Data:
        """Create or replace a deployment; its new revision is on its way then.

        Raises:
            MillpondError: the document is refused.
        """
        return self._run(self._apply(dict(document)))

    def get(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> Data:
        """One deployment with its status, moved on by a step.

        Raises:
            ServingError: there is none (status 404).
        """
        found = self._run(self._get(name))
        if found is None:
            raise ServingError(f"there is no deployment {name}", status=404)
        return found

    def list(self, namespace: str | None = None) -> builtins.list[Data]:
        """All deployments by name, each moved on by a step."""
        return self._run(self._list())

    def delete(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> None:
        """Stop a deployment and forget it.

        Raises:
            ServingError: there is none (status 404).
        """
        self._run(self._delete(name))

    def apply_graph(self, document: Mapping[str, Any]) -> Data:
        """Create or replace an ``InferenceGraph``; its router is on its way then.

        Raises:
            MillpondError: the document is refused.
        """
        return self._run(self._apply_graph(dict(document)))

    def graph(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> Data:
        """One graph with its status, moved on by a step.

        Raises:
            ServingError: there is none (status 404).
        """
        found = self._run(self._graph(name))
        if found is None:
            raise ServingError(f"there is no graph {name}", status=404)
        return found

    def graphs(self, namespace: str | None = None) -> Sequence[Data]:
        """All graphs by name."""
        return self._run(self._graphs())

    def delete_graph(self, name: str, namespace: str = DEFAULT_NAMESPACE) -> None:
        """Stop a graph and forget it.

        Raises:
            ServingError: there is none (status 404).
        """
        self._run(self._delete_graph(name))

    def measured(self, name: str, what: str, **query: object) -> Data:
        """What the log of predictions in the lake says of a deployment; a Job in the cluster reads it.

        Raises:
            MillpondError: nothing was noted, or KServe has it.
        """
        found: Data = json.loads(self._run(self._asked(name, what, query)))
        return found

    def page(self, name: str, what: str = "report", **query: object) -> bytes:
        """A page or picture; see `measured`."""
        return self._run(self._asked(name, what, query))

    def send(
        self,
        name: str,
        path: str,
        payload: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        namespace: str = DEFAULT_NAMESPACE,
        gateway: bool | None = None,
    ) -> Answer:
        """One request to a deployment or a graph: by its address, else through a port that kubectl forwards.

        Raises:
            ServingError: with the sentence and status of an answer from 400 on, or when nothing answers.
        """
        wanted = (headers or {}).get("x-revision")
        found = self._run(self._get(name)) or self._run(self._graph(name))
        if found is None:
            raise ServingError(f"there is no deployment {name}", status=404)
        status = found["status"]
        graph, theirs = found["kind"] == kserve.GRAPH, status.get("deploymentMode") == kserve.MODE
        service = f"{name}-predictor" if theirs and not graph else wanted or name
        place = (self._context.namespace, service, 80 if theirs else PORT)
        # A router that is asked by another host than its graph's finds the graph by the path.
        inside = f"/graphs/{name}{path}" if graph and not theirs else path
        return ask(status.get("url"), self._cluster.context, place, (path, inside), payload, headers)

    # --- inside -------------------------------------------------------------------------------------------

    @property
    def _cluster(self) -> Cluster:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self._runner.run(work)

    async def _here(self) -> Context:
        """The context with what only the cluster can tell."""
        if self._known is None:
            sessions = False
            if self._context.http_routes:
                found = await self._cluster.get(*_HTTP_ROUTES)
                told = ((found or {}).get("metadata") or {}).get("annotations") or {}
                sessions = told.get(_CHANNEL) == "experimental"
            self._known = replace(self._context, sessions=sessions)
        return self._known

    async def _rollout(self) -> tuple[Memory, Rollout]:
        context = await self._here()
        memory = Memory(self._cluster, context)
        return memory, Rollout(self._cluster, context, memory)

    async def _kserve(self) -> bool:
        return await self._cluster.serves(kserve.API_VERSION, kserve.KIND)

    async def _apply(self, document: Data) -> Data:
        document.pop("status", None)
        service = InferenceService.model_validate(document)
        if await self._kserve():
            return await kserve.apply(self._cluster, await self._here(), service)
        context = await self._here()
        refusals.check(service, context)
        await check_name(self._cluster, context, service.metadata.name, graph=False)
        memory, rollout = await self._rollout()
        record = await memory.load(service.metadata.name)
        if record is None:
            name, namespace = service.metadata.name, service.metadata.namespace
            record = Record(name, namespace, {}, uid=str(uuid.uuid4()), created=now())
        written = service.document()
        named = meant(record, written)
        revision = record.revision(named)
        if revision is None:
            revision = revision_of(record, service, await self._artifact(context, service))
        record.document = written
        record.generation += 1
        await rollout.begin(record, revision)
        await Graphs(self._cluster, context, memory).refresh(record.name)
        return await rollout.look(record)

    async def _artifact(self, context: Context, service: InferenceService) -> Artifact:
        """What the document's model is today, without its files: a pod fetches them."""
        name, uri = service.metadata.name, service.spec.predictor.model.storageUri
        found: Data = {"uri": uri}
        if uri.startswith("models:/"):
            found = await jobs.resolved(self._cluster, context, name, uri)
        identity = found.get("identity")
        return Artifact(
            uri=found["uri"],
            digest=hashlib.sha256(str(identity or found["uri"]).encode()).hexdigest()[:32],
            version=found.get("version"),
            run_id=found.get("run_id"),
            identity=identity,
        )

    async def _get(self, name: str) -> Data | None:
        if await self._kserve():
            return await kserve.get(self._cluster, await self._here(), name)
        memory, rollout = await self._rollout()
        record = await memory.load(name)
        return None if record is None else await rollout.look(record)

    async def _list(self) -> builtins.list[Data]:
        if await self._kserve():
            return await kserve.every(self._cluster, await self._here())
        memory, rollout = await self._rollout()
        return [await rollout.look(record) for record in await memory.every()]

    async def _delete(self, name: str) -> None:
        if await self._kserve():
            await kserve.delete(self._cluster, await self._here(), name)
            return
        memory, rollout = await self._rollout()
        record = await memory.load(name)
        if record is None:
            raise ServingError(f"there is no deployment {name}", status=404)
        await rollout.end(record)
        await (await self._pictures()).refresh(name)

    async def _pictures(self) -> Graphs:
        context = await self._here()
        return Graphs(self._cluster, context, Memory(self._cluster, context))

    async def _apply_graph(self, document: Data) -> Data:
        if await self._kserve():
            return await kserve.apply_graph(self._cluster, await self._here(), document)
        document.pop("status", None)
        graph = from_document(document)
        await check_name(self._cluster, await self._here(), graph.metadata.name, graph=True)
        return await (await self._pictures()).apply(graph)

    async def _graph(self, name: str) -> Data | None:
        if await self._kserve():
            return await kserve.graph(self._cluster, await self._here(), name)
        return await (await self._pictures()).get(name)

    async def _graphs(self) -> Sequence[Data]:
        if await self._kserve():
            return await kserve.graphs(self._cluster, await self._here())
        return await (await self._pictures()).every()

    async def _delete_graph(self, name: str) -> None:
        if await self._kserve():
            await kserve.delete_graph(self._cluster, await self._here(), name)
            return
        await (await self._pictures()).delete(name)

    async def _asked(self, name: str, what: str, query: Mapping[str, object]) -> bytes:
        if await self._kserve():
            raise MillpondError(
                f"{what} is not told where KServe serves, as its pods carry no log to the lake",
                hint="KServe's logger can send predictions elsewhere",
            )
        context = await self._here()
        record = await Memory(self._cluster, context).load(name)
        if record is None:
            raise ServingError(f"there is no deployment {name}", status=404)
        if not context.log:
            raise MillpondError(
                f"{what} is read from the log of predictions, and serving has no lake that takes it",
                hint="add seaweedfs to the flavour, then `millpond deploy --log`",
            )
        question = {
            "what": what,
            "name": name,
            "settings": {**settings_of(record), "sample": record.intentions.sample},
            "query": {key: str(value) for key, value in query.items() if value is not None},
            "since": datetime.fromisoformat(record.created).timestamp(),
        }
        return await jobs.asked(self._cluster, context, name, question)
