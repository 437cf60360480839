"""A deployment on a cluster, moved on by whoever looks at it: a new revision takes requests when it is ready.

The order is the controller's on one machine: the new pods are ready, the routes lead to them, that is written
down, the old ones end.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from millpond.serving.cluster import jobs, objects, routes
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.diagnosis import State, state
from millpond.serving.cluster.memory import Memory
from millpond.serving.cluster.objects import DEPLOYMENT, GRPC_PORT, PLATFORM, PORT, REVISION
from millpond.serving.controller.status import now, set_conditions, shown
from millpond.serving.controller.store import Record, Replica, Revision
from millpond.serving.inferenceservice import InferenceService
from millpond.targets.kubernetes.api import Cluster

Data = dict[str, Any]
KEPT = 3
"""Revisions that are remembered beside the live ones, for a rollback."""

_OF_REVISION = (
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("v1", "Service"),
)
_SHARED = (("gateway.networking.k8s.io/v1", "HTTPRoute"), ("networking.k8s.io/v1", "NetworkPolicy"))


class Rollout:
    """Brings a record and the cluster together."""

    def __init__(self, cluster: Cluster, context: Context, memory: Memory) -> None:
        self._cluster = cluster
        self._context = context
        self._memory = memory

    async def begin(self, record: Record, revision: Revision) -> None:
        """Have the revision that a document means run; it gets no request yet."""
        if revision not in record.revisions:
            record.revisions.append(revision)
        grpc = GRPC_PORT if revision.settings.get("grpc") else 0
        revision.replicas = [Replica(0, PORT, grpc)]
        record.reuse = revision.name
        record.failure = None
        waiting = (None, "Progressing", "its pods are being made")
        set_conditions(record, LatestDeploymentReady=waiting)
        await self._memory.save(record)
        for each in objects.shared_objects(self._context, record):
            await self._cluster.apply(each, force=True)
        others = [other for other in record.live if other.name != revision.name and other.replicas]
        # What is noted, and how many pods there are, is the deployment's and not the revision's.
        for wanted in (revision, *others):
            for each in objects.revision_objects(self._context, record, wanted):
                await self._cluster.apply(each, force=True)

    async def look(self, record: Record) -> Data:
        """The deployment with its status, after a step on if there is one to take."""
        states = {name: await self._state(name) for name in self._running(record)}
        if record.observed < record.generation:
            await self._step(record, states)
        return self._shown(record, states)

    async def end(self, record: Record) -> None:
        """Stop all that is of a deployment and forget it."""
        if self._context.gateway and self._context.entrance and record.active:
            await jobs.published(self._cluster, self._context, record.name, [])
        for api_version, kind in (*_SHARED, *_OF_REVISION):
            await self._remove(api_version, kind, record.name)
        await self._memory.forget(record)

    # --- a step -------------------------------------------------------------------------------------------

    async def _step(self, record: Record, states: dict[str, State]) -> None:
        pending = record.revision(record.reuse)
        if pending is None:
            return
        found = states.get(pending.name, State())
        if found.failed:
            await self._failed(record, pending, found.message)
            return
        if not found.ready:
            set_conditions(record, LatestDeploymentReady=(None, "Progressing", found.message))
            return
        after = settled(record, pending)
        ready = {name for name, each in states.items() if each.ready}
        refusal = await self._route(after, ready)
        if refusal:
            waiting = (None, "Progressing", refusal)
            set_conditions(record, IngressReady=waiting, LatestDeploymentReady=waiting)
            return
        pending.ready = pending.ready or now()
        for key, value in asdict(after).items():
            if key not in ("revisions", "conditions"):
                setattr(record, key, value)
        serving = (True, "", "")
        set_conditions(record, PredictorReady=serving, IngressReady=serving, LatestDeploymentReady=serving)
        record.observed = record.generation
        await self._tidy(record)

    async def _failed(self, record: Record, pending: Revision, message: str) -> None:
        record.failure = {"reason": "ModelLoadFailed", "message": message, "time": now()}
        record.observed = record.generation
        set_conditions(record, LatestDeploymentReady=(False, "ModelLoadFailed", message))
        if record.active is None:
            set_conditions(record, PredictorReady=(False, "ModelLoadFailed", message))
        await self._tidy(record)

    async def _tidy(self, record: Record) -> None:
        """Write it down, then end what is no longer meant to run."""
        live = [revision.name for revision in record.live]
        stopped = [r for r in record.revisions if r.name not in live and r.replicas]
        for revision in stopped:
            revision.replicas = []
        rest = [revision for revision in record.revisions if revision.name not in live]
        # What never served is not gone back to.
        gone = {each.name for each in rest if each.ready is None} | {each.name for each in rest[:-KEPT]}
        record.revisions = [revision for revision in record.revisions if revision.name not in gone]
        await self._memory.save(record)
        for revision in stopped:
            for api_version, kind in _OF_REVISION:
                await self._remove(api_version, kind, record.name, revision.name)

    async def _route(self, after: Record, ready: set[str]) -> str | None:
        """Lead requests as the record says; what it still waits for, or None."""
        await self._cluster.apply(objects.primary_service(self._context, after), force=True)
        if self._context.http_routes:
            made = routes.http_routes(self._context, after, ready)
            applied = [await self._cluster.apply(each, force=True) for each in made]
            return next((told for told in map(routes.taken, applied) if told), None)
        if self._context.gateway:
            found = routes.gateway_routes(self._context, after, ready)
            await jobs.published(self._cluster, self._context, after.name, found)
        return None

    # --- what is there ------------------------------------------------------------------------------------

    def _running(self, record: Record) -> list[str]:
        return [revision.name for revision in record.revisions if revision.replicas]

    async def _state(self, revision: str) -> State:
        namespace = self._context.namespace
        deployment = await self._cluster.get("apps/v1", "Deployment", revision, namespace)
        pods = await self._cluster.list("v1", "Pod", namespace=namespace, labels={REVISION: revision})
        return state(deployment, pods)

    async def _remove(self, api_version: str, kind: str, name: str, revision: str | None = None) -> None:
        if not await self._cluster.serves(api_version, kind):
            return
        wanted = {PLATFORM: self._context.platform, DEPLOYMENT: name}
        wanted |= {REVISION: revision} if revision else {}
        for each in await self._cluster.list(
            api_version, kind, namespace=self._context.namespace, labels=wanted
        ):
            await self._cluster.delete(each, propagation="Background")

    def _shown(self, record: Record, states: dict[str, State]) -> Data:
        words = {
            service: "ready" if states[revision.name].ready else "starting"
            for revision in record.revisions
            if revision.name in states
            for service in revision.services
        }
        found = shown(record, self._context.url(record.name) if record.active else None, words)
        status = found["status"]
        status["deploymentMode"] = "RawDeployment"
        if record.active:
            address = {"url": f"http://{self._context.address(record.name, PORT)}"}
            status["address"] = status["components"]["predictor"]["address"] = address
        return found


def settled(record: Record, revision: Revision) -> Record:
    """The record as it is once the pending revision serves in its place. Pure."""
    found = Record.from_json(asdict(record))
    service = InferenceService.model_validate(found.document)
    percent = service.spec.predictor.canaryTrafficPercent
    found.annotations = dict(service.metadata.annotations)
    beside = percent is not None and percent < 100 and found.active not in (None, revision.name)
    if beside:
        if found.candidate != revision.name:
            found.since = time.time()
        found.candidate, found.percent = revision.name, int(percent or 0)
        return found
    if found.active is not None and found.active != revision.name:
        found.previous = found.active
    found.active, found.candidate, found.percent = revision.name, None, 0
    return found
