"""All deployments of a platform, and what is done for all of them: followed, scaled, rolled out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.controller import revisions
from millpond.serving.controller.autoscaler import Autoscaler
from millpond.serving.controller.deployment import Deployment
from millpond.serving.controller.pilot import Pilot
from millpond.serving.controller.processes import HOST
from millpond.serving.controller.site import Site
from millpond.serving.controller.status import now, set_conditions, shown
from millpond.serving.controller.store import Record, Revision
from millpond.serving.inferenceservice import InferenceService

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0


class NotFound(MillpondError):  # noqa: N818
    """There is no such deployment."""


class Conflict(MillpondError):  # noqa: N818
    """A name is taken in another namespace or by a graph: a host name cannot lead to two."""


async def _nothing() -> None:
    """Nobody asked to be told."""


class Deployments:
    """All deployments of the platform; `changed` is called now and then, after they may have."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._states: dict[str, str] = {}
        self._all: dict[str, Deployment] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._scaler = Autoscaler(site)
        self._pilot = Pilot(site)
        self.changed: Callable[[], Awaitable[None]] = _nothing
        site.taken = self._taken

    async def begin(self) -> None:
        """Read what is remembered and bring it back, without waiting for it."""
        await self.refresh()
        for name, record in self._site.store.load().items():
            if record.active is not None:
                unknown = (None, "Restoring", "")
                set_conditions(record, PredictorReady=unknown, IngressReady=unknown)
            self._all[name] = Deployment(record, self._site, self._states)
        for deployment in self._all.values():
            try:
                self._site.observer.tell(deployment.record)
            except Exception:  # a document of another version must not keep the others from coming back
                log.exception("deployment %s", deployment.record.name)
            deployment.kick()
        self._tasks = [asyncio.create_task(task) for task in (self._follow(), self._watch())]

    async def finish(self) -> None:
        """Stop looking after the deployments; their processes are the supervisor's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(
            *self._tasks, *(found.stop() for found in self._all.values()), return_exceptions=True
        )

    def apply(self, service: InferenceService) -> dict[str, Any]:
        """Take a document as what is wanted from now on; the status tells how far that is.

        Raises:
            Conflict: another namespace has the name.
        """
        name, namespace = service.metadata.name, service.metadata.namespace
        deployment = self._all.get(name)
        if deployment is None:
            record = Record(name, namespace, {}, str(uuid.uuid4()), now())
            deployment = self._all[name] = Deployment(record, self._site, self._states)
        elif deployment.record.namespace != namespace:
            raise Conflict(
                f"{name} is deployed in namespace {deployment.record.namespace} already",
                hint="a name is a host name here, whatever the namespace: choose another",
            )
        record = deployment.record
        document = service.document()
        record.reuse = revisions.meant(record, document)
        record.document = document
        record.generation += 1
        self._site.store.save(record)
        deployment.kick(newer=True)
        return self._shown(deployment)

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        """One deployment.

        Raises:
            NotFound: there is none.
        """
        return self._shown(self._found(namespace, name))

    def listed(self, namespace: str | None) -> list[dict[str, Any]]:
        """The deployments of a namespace, or all, by name."""
        found = [self._all[name] for name in sorted(self._all)]
        return [self._shown(item) for item in found if namespace in (None, item.record.namespace)]

    def names(self) -> set[str]:
        """The names that deployments have."""
        return set(self._all)

    def document(self, name: str) -> dict[str, Any] | None:
        """What was last asked for by that name."""
        found = self._all.get(name)
        return None if found is None else found.record.document

    def address(self, name: str) -> str | None:
        """Where the first process of a deployment listens; None when there is none."""
        found = self._all.get(name)
        if found is None:
            return None
        replicas = [replica for revision in found.record.live for replica in revision.replicas]
        return f"{HOST}:{replicas[-1].port}" if replicas else None

    async def refresh(self) -> None:
        """Ask for the processes' states, for a status that is true now."""
        try:
            found = await self._site.processes.states()
        except MillpondError as error:
            log.warning("%s", error.message)
            found = {}
        self._states.clear()
        self._states.update(found)

    async def awake(self, name: str, patience: float) -> list[str]:
        """Addresses of a deployment's processes, started when there are none.

        Raises:
            NotFound: there is no such deployment.
            MillpondError: they are not there in time.
        """
        deployment = self._all.get(name)
        if deployment is None:
            raise NotFound(f"there is no deployment {name}")
        return await deployment.awake(patience)

    async def delete(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a deployment and forget it.

        Raises:
            NotFound: there is none.
        """
        deployment = self._found(namespace, name)
        found = self._shown(deployment)
        await deployment.remove()
        self._all.pop(name, None)
        self._scaler.forget(name)
        self._collect()
        return found

    # All of them

    async def _follow(self) -> None:
        """Hear of every change of a process at once, and look at its deployment."""
        while True:
            with contextlib.suppress(MillpondError):
                await self.refresh()
                self._kick_all()
                async for name, state in self._site.processes.changes():
                    self._states[name] = state
                    self._kick_owner(name)
            await asyncio.sleep(WATCH_SECONDS)

    def _kick_owner(self, service: str) -> None:
        name = service.removeprefix("serving-").partition(".")[0].rpartition("-")[0]
        deployment = self._all.get(name)
        if deployment is not None:
            deployment.kick()

    def _kick_all(self) -> None:
        for deployment in self._all.values():
            deployment.kick()

    async def _watch(self) -> None:
        """Bring back what failed when its pause is over, scale, and move rollouts on."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for deployment in list(self._all.values()):
                if deployment.retry_due():
                    deployment.kick()
                try:
                    scaled = await self._scaler.look_at(deployment.record, deployment.ready)
                    moved = await self._pilot.look_at(deployment.record)
                except Exception:
                    log.exception("deployment %s", deployment.record.name)
                    continue
                if scaled or moved:
                    deployment.kick()
            try:
                await self.changed()
                self._collect()
            except Exception:
                log.exception("looking after what stands beside the deployments")

    def _found(self, namespace: str, name: str) -> Deployment:
        deployment = self._all.get(name)
        if deployment is None or deployment.record.namespace != namespace:
            raise NotFound(f"there is no deployment {name} in namespace {namespace}")
        return deployment

    def _revisions(self) -> list[Revision]:
        return [revision for found in self._all.values() for revision in found.record.revisions]

    def _taken(self) -> set[int]:
        replicas = [replica for revision in self._revisions() for replica in revision.replicas]
        return {port for replica in replicas for port in (replica.port, replica.grpc_port) if port}

    def _shown(self, deployment: Deployment) -> dict[str, Any]:
        return shown(deployment.record, deployment.url, self._states)

    def _collect(self) -> None:
        """Remove models that no revision has; not while one is on its way here."""
        if not any(found.fetching or found.busy for found in self._all.values()):
            self._site.artifacts.keep_only({revision.digest for revision in self._revisions()})
