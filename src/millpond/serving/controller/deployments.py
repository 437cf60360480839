"""What is wanted held against what runs: revisions started, traffic moved, old ones stopped.

The order of a replacement is what keeps requests from being lost: the new revision is ready, then the
gateway leads to it, then that is written down, then the old one finishes its requests and stops. A crash
between any two of these ends in the old revision or the new one. After a restart every deployment
comes back from the files here; the registry is not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import time
import uuid
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.controller.artifacts import Artifact, ArtifactStore
from millpond.serving.controller.processes import Processes, can_listen, free_port, service_of
from millpond.serving.controller.routes import Routes
from millpond.serving.controller.status import now, set_conditions, shown
from millpond.serving.controller.store import Record, Revision, Store
from millpond.serving.inferenceservice import InferenceService

log = logging.getLogger(__name__)

KEPT = 3
"""Stopped revisions that stay known, with their files, beside the active one."""

DRAIN_SECONDS = 0.5
"""Between the gateway's new route and the old process's stop, for requests already on their way to it."""

WATCH_SECONDS = 5.0
LONGEST_PAUSE = 120.0
"""Between two attempts to bring back what failed; the first comes at once, each pause doubles."""


class NotFound(MillpondError):  # noqa: N818
    """There is no such deployment."""


class Conflict(MillpondError):  # noqa: N818
    """A name is taken in another namespace, and a host name cannot lead to two deployments."""


class Deployments:
    """All deployments of the platform.

    Args:
        store: where they are remembered.
        artifacts: where their models' files are.
        processes: who runs them.
        routes: who leads traffic to them.
        ports: which ports they may have.
        logs: folder of their logs.
    """

    def __init__(
        self,
        store: Store,
        artifacts: ArtifactStore,
        processes: Processes,
        routes: Routes,
        ports: range,
        logs: Path,
    ) -> None:
        self._store = store
        self._artifacts = artifacts
        self._processes = processes
        self._routes = routes
        self._ports = ports
        self._logs = logs
        self._records: dict[str, Record] = {}
        self._urls: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        self._retries: dict[str, tuple[float, float]] = {}
        self._fetching = 0
        self._watcher: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Read what is remembered and bring it back, without waiting for it."""
        self._records = self._store.load()
        for name, record in self._records.items():
            if record.active is not None:
                unknown = (None, "Restoring", "")
                set_conditions(record, PredictorReady=unknown, IngressReady=unknown)
            self._kick(name)
        self._watcher = asyncio.create_task(self._watch())

    async def finish(self) -> None:
        """Stop looking after the deployments; their processes are the supervisor's."""
        tasks = [task for task in (self._watcher, *self._workers.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def apply(self, service: InferenceService) -> dict[str, Any]:
        """Take a document as what is wanted from now on; the status tells how far that is.

        Raises:
            Conflict: another namespace has the name.
        """
        name, namespace = service.metadata.name, service.metadata.namespace
        record = self._records.get(name)
        if record is None:
            record = Record(name, namespace, {}, str(uuid.uuid4()), now())
            self._records[name] = record
        elif record.namespace != namespace:
            raise Conflict(
                f"{name} is deployed in namespace {record.namespace} already",
                hint="a name is a host name here, whatever the namespace: choose another",
            )
        record.document = service.document()
        record.generation += 1
        self._store.save(record)
        self._kick(name)
        return self._shown(record)

    def get(self, namespace: str, name: str) -> dict[str, Any]:
        """One deployment.

        Raises:
            NotFound: there is none.
        """
        return self._shown(self._record(namespace, name))

    def listed(self, namespace: str | None) -> list[dict[str, Any]]:
        """The deployments of a namespace, or all, by name."""
        records = sorted(self._records.values(), key=lambda record: record.name)
        return [self._shown(record) for record in records if namespace in (None, record.namespace)]

    async def refresh(self) -> None:
        """Ask for the processes' states, for a status that is true now."""
        try:
            self._states = await self._processes.states()
        except MillpondError as error:
            log.warning("%s", error.message)
            self._states = {}

    async def delete(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a deployment and forget it.

        Raises:
            NotFound: there is none.
        """
        record = self._record(namespace, name)
        found = self._shown(record)
        worker = self._workers.pop(name, None)
        if worker is not None:
            worker.cancel()
            await asyncio.gather(worker, return_exceptions=True)
        with contextlib.suppress(MillpondError):
            await self._routes.remove(name)
        for revision in record.revisions:
            await self._processes.end(revision.service)
        self._store.forget(name)
        for known in (self._records, self._urls, self._changed, self._retries):
            known.pop(name, None)
        self._collect()
        return found

    # Looking after one deployment

    def _kick(self, name: str) -> None:
        self._changed.setdefault(name, asyncio.Event()).set()
        worker = self._workers.get(name)
        if worker is None or worker.done():
            self._workers[name] = asyncio.create_task(self._settle(name), name=f"settle {name}")

    async def _settle(self, name: str) -> None:
        """Bring the active revision back, then do what was asked for since; again while there is more."""
        record, changed = self._records[name], self._changed[name]
        try:
            while changed.is_set():
                changed.clear()
                await self._restore(record, changed)
                if record.observed < record.generation:
                    changed.clear()
                    await self._replace(record, record.generation, changed)
                await self._end_others(record)
            self._collect()
        except MillpondError as error:
            log.error("deployment %s: %s", name, error.message)
            set_conditions(record, PredictorReady=(False, "Supervisor", error.message))
        except Exception:
            log.exception("deployment %s", name)

    async def _restore(self, record: Record, changed: asyncio.Event) -> None:
        revision = record.revision(record.active)
        if revision is None:
            return
        if not can_listen(revision.port) and revision.service not in await self._processes.states():
            revision.port = free_port(self._ports, self._taken())
            self._store.save(record)
        try:
            if not await self._ran(record, revision, changed):
                return
        except MillpondError as error:
            set_conditions(record, PredictorReady=(False, "ModelLoadFailed", _reason(error)))
            return
        set_conditions(record, PredictorReady=(True, "", ""))
        await self._lead(record, revision)

    async def _ran(self, record: Record, revision: Revision, changed: asyncio.Event) -> bool:
        """Wait until a revision's process is ready; False when a newer document came first.

        Raises:
            MillpondError: it will not be ready.
        """
        spec = service_of(revision, record.name, self._artifacts.folder(revision.digest), self._logs)
        starting = asyncio.create_task(self._processes.run(spec))
        newer = asyncio.create_task(changed.wait())
        try:
            await asyncio.wait({starting, newer}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            starting.result()
            return True
        finally:
            for task in (starting, newer):
                task.cancel()
            await asyncio.gather(starting, newer, return_exceptions=True)

    async def _lead(self, record: Record, revision: Revision) -> str | None:
        """Have the gateway lead to a revision; why it does not, or None."""
        try:
            self._urls[record.name] = await self._routes.lead(record.name, revision.port)
        except MillpondError as error:
            log.warning("deployment %s: %s", record.name, error.message)
            set_conditions(record, IngressReady=(False, "GatewayFailed", error.message))
            return error.message
        set_conditions(record, IngressReady=(True, "", ""))
        return None

    async def _replace(self, record: Record, generation: int, changed: asyncio.Event) -> None:
        """Make a revision of the document of this generation, and give it the traffic.

        A newer document ends the wait for this one's model.
        """
        set_conditions(record, LatestDeploymentReady=(None, "Loading", ""))
        service = InferenceService.model_validate(record.document)
        try:
            self._fetching += 1
            try:
                known = {r.identity: r.digest for r in self._revisions() if r.identity is not None}
                artifact = await self._artifacts.fetch(service.spec.predictor.model.storageUri, known)
            finally:
                self._fetching -= 1
            revision = self._revision(record, service, artifact)
        except MillpondError as error:
            self._failed(record, generation, "InvalidPredictorSpec", _reason(error))
            return
        before = record.revision(record.active)
        if revision is before:
            self._done(record, generation)
            return
        self._store.save(record)
        try:
            if not await self._ran(record, revision, changed):
                await self._drop(record, revision)
                return
        except MillpondError as error:
            await self._drop(record, revision)
            self._failed(record, generation, "ModelLoadFailed", _reason(error), revision.name)
            return
        revision.ready = now()
        blocked = await self._lead(record, revision)
        if blocked is not None and before is not None:
            await self._drop(record, revision)
            self._failed(record, generation, "RuntimeUnhealthy", blocked, revision.name)
            return
        set_conditions(record, PredictorReady=(True, "", ""))
        record.active = revision.name
        self._done(record, generation)
        log.info("deployment %s: %s serves %s", record.name, revision.name, revision.uri)
        if before is not None:
            await asyncio.sleep(DRAIN_SECONDS)

    def _revision(self, record: Record, service: InferenceService, artifact: Artifact) -> Revision:
        """The active revision when nothing about it would change, else a new one with a port of its own."""
        env = {variable.name: variable.value for variable in service.spec.predictor.model.env}
        key = _key([artifact.digest, artifact.version, artifact.run_id, env])
        active = record.revision(record.active)
        if active is not None and active.key == key:
            return active
        record.counter += 1
        revision = Revision(
            name=f"{record.name}-{record.counter:05d}",
            number=record.counter,
            key=key,
            port=free_port(self._ports, self._taken()),
            uri=artifact.uri,
            digest=artifact.digest,
            created=now(),
            env=env,
            version=artifact.version,
            run_id=artifact.run_id,
            identity=artifact.identity,
        )
        record.revisions.append(revision)
        return revision

    def _done(self, record: Record, generation: int) -> None:
        record.failure = None
        record.observed = generation
        set_conditions(record, LatestDeploymentReady=(True, "", ""))
        self._store.save(record)

    def _failed(
        self, record: Record, generation: int, reason: str, message: str, revision: str | None = None
    ) -> None:
        log.error("deployment %s: %s", record.name, message)
        record.failure = {"reason": reason, "message": message, "time": now()}
        if revision is not None:
            record.failure["modelRevisionName"] = revision
        record.observed = generation
        set_conditions(record, LatestDeploymentReady=(False, reason, message))
        if record.active is None:
            set_conditions(record, PredictorReady=(False, reason, message))
        self._store.save(record)

    async def _drop(self, record: Record, revision: Revision) -> None:
        await self._processes.end(revision.service)
        record.revisions.remove(revision)
        self._store.save(record)

    async def _end_others(self, record: Record) -> None:
        """Stop every process of the deployment but the active one's, and forget the oldest revisions."""
        running = await self._processes.states()
        for name in running:
            stem, _, number = name.removeprefix("serving-").rpartition("-")
            current = f"serving-{record.active}"
            if stem == record.name and number.isdigit() and name != current:
                await self._processes.end(name)
        stopped = [revision for revision in record.revisions if revision.name != record.active]
        if len(stopped) > KEPT:
            for revision in stopped[:-KEPT]:
                record.revisions.remove(revision)
            self._store.save(record)

    # All of them

    async def _watch(self) -> None:
        """Look at the processes now and then, and bring back what is down or not routed."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                self._states = await self._processes.states()
            except MillpondError:
                continue
            for record in list(self._records.values()):
                self._look_at(record)

    def _look_at(self, record: Record) -> None:
        worker = self._workers.get(record.name)
        if record.active is None or (worker is not None and not worker.done()):
            return
        state = self._states.get(f"serving-{record.active}", "gone")
        routed = record.conditions.get("IngressReady", {}).get("status") == "True"
        if state == "ready":
            set_conditions(record, PredictorReady=(True, "", ""))
            if routed:
                self._retries.pop(record.name, None)
        else:
            set_conditions(record, PredictorReady=(False, "ModelNotReady", f"its process is {state}"))
        if state in ("gone", "failed", "stopped") or (state == "ready" and not routed):
            at, pause = self._retries.get(record.name, (0.0, WATCH_SECONDS))
            if time.monotonic() >= at:
                self._retries[record.name] = (time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE))
                self._kick(record.name)

    def _record(self, namespace: str, name: str) -> Record:
        record = self._records.get(name)
        if record is None or record.namespace != namespace:
            raise NotFound(f"there is no deployment {name} in namespace {namespace}")
        return record

    def _revisions(self) -> list[Revision]:
        return [revision for record in self._records.values() for revision in record.revisions]

    def _taken(self) -> set[int]:
        return {revision.port for revision in self._revisions()}

    def _shown(self, record: Record) -> dict[str, Any]:
        return shown(record, self._urls.get(record.name), self._states)

    def _collect(self) -> None:
        """Remove models that no revision has; not while one is on its way here."""
        if not self._fetching:
            self._artifacts.keep_only({revision.digest for revision in self._revisions()})


def _key(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _reason(error: MillpondError) -> str:
    """An error with the last line that the model's server logged, which says why it did not load."""
    said = next((line for line in reversed(error.details) if " ERROR " in line), None)
    if said is not None:
        return said.split(" ERROR ", 1)[1]
    return f"{error.message}; {error.hint}" if error.hint else error.message
