"""One deployment: what is wanted held against what runs.

The order of a change is what keeps requests from being lost: new processes are ready, then the gateway
leads to them, then that is written down, then old ones finish their requests and stop. A crash between any
two of these ends in the old state or the new one. After a restart every deployment comes back from the
files here; the registry is not asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.controller import revisions, traffic
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.environments import environment_for
from millpond.serving.controller.processes import service_of
from millpond.serving.controller.site import Site
from millpond.serving.controller.status import now, set_conditions
from millpond.serving.controller.store import Record, Replica, Revision
from millpond.serving.inferenceservice import InferenceService
from millpond.targets.local.supervisor.spec import ServiceSpec

log = logging.getLogger(__name__)

KEPT = 3
"""Stopped revisions that stay known, with their files, beside the live ones."""

DRAIN_SECONDS = 0.5
"""Between the gateway's new route and the old process's stop, for requests already on their way to it."""

FIRST_PAUSE = 5.0
LONGEST_PAUSE = 120.0
"""Between two attempts to bring back what failed; the first comes at once, each pause doubles."""

DOWN = ("gone", "failed", "stopped")
"""States that the supervisor leaves only when it is asked to."""


class Deployment:
    """Looks after one record; all that changes it happens in one task, one thing after the other.

    Args:
        record: what is known of it.
        site: what it shares with the others.
        states: the supervisor's states of all model servers, kept up to date by the owner.
    """

    def __init__(self, record: Record, site: Site, states: dict[str, str]) -> None:
        self.record = record
        self.url: str | None = None
        self.fetching = False
        self._site = site
        self._states = states
        self._kicked = asyncio.Event()
        self._newer = asyncio.Event()
        self._settled = asyncio.Condition()
        self._led: list[dict[str, Any]] | None = None
        self._retries: dict[str, tuple[float, float]] = {}
        self._task: asyncio.Task[None] | None = None
        self._removed = False

    @property
    def _owner(self) -> str:
        return f"serving-{self.record.name}"

    @property
    def busy(self) -> bool:
        """Whether something is being done."""
        return self._task is not None and not self._task.done()

    @property
    def ready(self) -> set[str]:
        """Its processes that answer."""
        services = {service for revision in self.record.live for service in revision.services}
        return {name for name in services if self._states.get(name) == "ready"}

    def kick(self, *, newer: bool = False) -> None:
        """Have it looked at; `newer` says that the document has changed."""
        if newer:
            self._newer.set()
        self._kicked.set()
        if not self.busy and not self._removed:
            self._task = asyncio.create_task(self._settle(), name=f"settle {self.record.name}")

    async def stop(self) -> None:
        """Do no more; what is being done is broken off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def awake(self, patience: float) -> list[str]:
        """The addresses of processes that answer, started if there are none.

        Args:
            patience: seconds until they have to be there.

        Raises:
            MillpondError: they are not, and why.
        """
        record = self.record
        revision = record.revision(record.active)
        if revision is None:
            raise MillpondError(f"deployment {record.name} has no revision that was ever ready")
        if revision.wanted == 0:
            revision.wanted = 1
            self._site.store.save(record)
            self.kick()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience), self._settled:
                await self._settled.wait_for(lambda: bool(self._answering(revision)))
        found = self._answering(revision)
        if not found:
            said = record.conditions.get("PredictorReady", {}).get("message", "")
            raise MillpondError(
                f"deployment {record.name} is not ready after {patience:g} seconds"
                + (f": {said}" if said else "")
            )
        return found

    def _answering(self, revision: Revision) -> list[str]:
        up = self.ready
        return [f"{traffic.HOST}:{r.port}" for r in revision.replicas if revision.service(r) in up]

    async def remove(self) -> None:
        """Stop all of it, and forget it."""
        self._removed = True  # its processes' ends are news, but nothing to mend
        await self.stop()
        with contextlib.suppress(MillpondError):
            await self._site.routes.remove(self._owner)
        for name in self._own(await self._site.processes.states()):
            await self._site.processes.end(name)
        self._site.store.forget(self.record.name)
        self._site.observer.forget(self.record.name)

    # The task

    async def _settle(self) -> None:
        """Bring what should run to run, then do what was asked for since; again while there is more."""
        record = self.record
        try:
            while self._kicked.is_set():
                self._kicked.clear()
                await self._restore()
                if record.observed < record.generation:
                    self._newer.clear()
                    await self._replace(record.generation)
                    self._kicked.set()  # what it changed may ask for more, or fewer, processes
                await self._end_others()
                async with self._settled:
                    self._settled.notify_all()
        except MillpondError as error:
            self._stuck("Supervisor", error.message)
        except Exception as error:
            log.exception("deployment %s", record.name)
            self._stuck("ControllerFailed", f"the controller failed: {type(error).__name__}")
        async with self._settled:
            self._settled.notify_all()

    def _stuck(self, reason: str, message: str) -> None:
        """Nothing more can be done now: whoever waits for the newest document has to hear it."""
        if self.record.observed < self.record.generation:
            self._failed(self.record.generation, reason, message)
        else:
            log.error("deployment %s: %s", self.record.name, message)
        set_conditions(self.record, PredictorReady=(False, reason, message))

    async def _restore(self) -> None:
        """Have the processes that are meant to run, and the routes to those that answer."""
        record = self.record
        if record.active is None:
            return
        changed = False
        for revision in record.live:
            changed = self._resize(revision) or changed
            for replica in revision.replicas:
                await self._bring_back(revision, replica)
        if changed:
            self._site.store.save(record)
        await self._lead()
        self._tell_readiness()

    def _resize(self, revision: Revision) -> bool:
        """As many replicas as are wanted; new ones get the lowest free numbers, the last ones go."""
        before = len(revision.replicas)
        while len(revision.replicas) < revision.wanted:
            numbers = {replica.number for replica in revision.replicas}
            number = next(n for n in range(revision.wanted + 1) if n not in numbers)
            grpc = bool(revision.settings.get("grpc"))
            revision.replicas.append(self._site.replica(number, grpc=grpc))
        del revision.replicas[revision.wanted :]
        return len(revision.replicas) != before

    async def _bring_back(self, revision: Revision, replica: Replica) -> None:
        """Start a replica that does not run; one that failed is given a pause that grows."""
        name = revision.service(replica)
        state = self._states.get(name, "gone")
        if state == "ready":
            self._retries.pop(name, None)
        if state not in DOWN:
            return
        at, pause = self._retries.get(name, (0.0, FIRST_PAUSE))
        if time.monotonic() < at:
            return
        self._retries[name] = (time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE))
        if _unfurnished(revision):  # the cache of installs was cleared
            await self._furnish(revision)
        self._states[name] = "starting"
        await self._site.processes.start(self._spec(revision, replica))

    def retry_due(self) -> bool:
        """Whether something failed and its pause is over."""
        if self.record.active is None or self.busy:
            return False
        down = [
            name
            for revision in self.record.live
            for name in revision.services
            if self._states.get(name, "gone") in DOWN
        ]
        routed = self.record.conditions.get("IngressReady", {}).get("status") == "True"
        due = self._retries.get("routes", (0.0, FIRST_PAUSE))[0]
        if not routed and time.monotonic() >= due:
            return True
        return any(time.monotonic() >= self._retries.get(name, (0.0, 0.0))[0] for name in down)

    def _spec(self, revision: Revision, replica: Replica) -> ServiceSpec:
        return service_of(
            revision,
            replica,
            self.record.name,
            self.record.namespace,
            folder=self._site.artifacts.folder(revision.digest),
            logs=self._site.logs,
            predictions=self._site.observer.folder(self.record.name),
            python=Path(revision.python) if revision.python else None,
            environment=revision.variables,
        )

    async def _lead(self) -> str | None:
        """Have the gateway lead to what answers; why it does not, or None."""
        record = self.record
        found = traffic.shares(record, self.ready)
        routes = traffic.routes(record, found, self._site.router)
        if not routes:
            return None
        if routes == self._led:
            return None
        try:
            self.url = await self._site.routes.put(self._owner, routes)
        except MillpondError as error:
            self._led = None
            log.warning("deployment %s: %s", record.name, error.message)
            set_conditions(record, IngressReady=(False, "GatewayFailed", error.message))
            _, pause = self._retries.get("routes", (0.0, FIRST_PAUSE))
            self._retries["routes"] = (time.monotonic() + pause, min(2 * pause, LONGEST_PAUSE))
            return error.message
        self._led = routes
        self._retries.pop("routes", None)
        set_conditions(record, IngressReady=(True, "", ""))
        return None

    def _tell_readiness(self) -> None:
        """Say whether the active revision answers, from its processes' states."""
        record = self.record
        revision = record.revision(record.active)
        if revision is None:
            return
        if not revision.wanted:
            set_conditions(record, PredictorReady=(True, "ScaledToZero", "it starts with the next request"))
            return
        states = {name: self._states.get(name, "gone") for name in revision.services}
        if "ready" in states.values():
            set_conditions(record, PredictorReady=(True, "", ""))
        elif any(state in DOWN for state in states.values()):
            worst = next(state for state in states.values() if state in DOWN)
            set_conditions(record, PredictorReady=(False, "ModelNotReady", f"its process is {worst}"))
        else:
            state = next(iter(states.values()), "gone")
            set_conditions(record, PredictorReady=(None, "Restoring", f"its process is {state}"))

    async def _replace(self, generation: int) -> None:
        """Deal with the document of this generation; a newer one ends the wait for this one's model."""
        record = self.record
        set_conditions(record, LatestDeploymentReady=(None, "Loading", ""))
        service = InferenceService.model_validate(record.document)
        percent = service.spec.predictor.canaryTrafficPercent
        splits = percent is not None and percent < 100
        try:
            if splits and record.active is not None and not self._site.routes.splits:
                raise MillpondError(
                    "two revisions at once need the gateway", hint="add the component gateway to the flavour"
                )
            revision = await self._revision(service)
        except MillpondError as error:
            self._failed(generation, "InvalidPredictorSpec", _reason(error))
            return
        was_live = revision in record.live
        revision.wanted = max(revision.wanted, service.spec.predictor.replicas[0], 0 if was_live else 1)
        rolled_out = record.revision(record.active)
        if not splits and rolled_out is not None:
            # It takes over what that many processes did.
            revision.wanted = max(revision.wanted, rolled_out.wanted)
        self._site.store.save(record)
        try:
            if not (was_live and self._complete(revision)) and not await self._ran(revision):
                if not was_live:
                    await self._drop(revision)
                return
        except MillpondError as error:
            if not was_live:
                await self._drop(revision)
            self._failed(generation, "ModelLoadFailed", _reason(error), revision.name)
            return
        revision.ready = revision.ready or now()
        before = (record.active, record.candidate, record.previous, record.percent, record.annotations)
        self._take(revision, percent, service)
        blocked = await self._lead()
        if blocked is not None and before[0] is not None:
            record.active, record.candidate, record.previous, record.percent, record.annotations = before
            if not was_live:
                await self._drop(revision)
            self._failed(generation, "RuntimeUnhealthy", blocked, revision.name)
            return
        self._tell_readiness()
        if before[:2] != (record.active, record.candidate):
            record.since = time.time()
            record.rollout = None
        self._done(generation)
        log.info("deployment %s: %s serves %s", record.name, revision.name, revision.uri)

    def _complete(self, revision: Revision) -> bool:
        """Whether as many of its processes answer as are wanted."""
        return len(self.ready.intersection(revision.services)) >= revision.wanted

    def _take(self, revision: Revision, percent: int | None, service: InferenceService) -> None:
        """Give the revision its place: alone, or beside the one that is rolled out."""
        record = self.record
        alone = percent is None or percent == 100 or record.active in (None, revision.name)
        if alone:
            if record.active not in (None, revision.name):
                record.previous = record.active
            record.active, record.candidate, record.percent = revision.name, None, 0
        else:
            record.candidate, record.percent = revision.name, percent or 0
        record.annotations = dict(service.metadata.annotations)

    async def _revision(self, service: InferenceService) -> Revision:
        record = self.record
        known = record.revision(record.reuse)
        if known is not None:
            return known
        self.fetching = True
        try:
            identities = {r.identity: r.digest for r in record.revisions if r.identity is not None}
            model = service.spec.predictor.model
            artifact: Artifact = await self._site.artifacts.fetch(
                model.storageUri, identities, model.modelFormat.name, self._arriving
            )
            revision = revisions.revision_of(record, service, artifact)
            await self._furnish(revision)
            if revision not in record.revisions:
                record.revisions.append(revision)
            return revision
        finally:
            self.fetching = False

    async def _furnish(self, revision: Revision) -> None:
        """Have the environment that a revision's model runs in.

        Raises:
            MillpondError: it cannot be had.
        """

        def tell(sentence: str) -> None:
            set_conditions(self.record, LatestDeploymentReady=(None, "Installing", sentence))

        found = await environment_for(
            self._site.artifacts.folder(revision.digest),
            revision.settings.get("format", "mlflow"),
            self._site.data,
            tell,
            name=self.record.name,
        )
        # The shared environment is the controller's own, whichever that is after an upgrade.
        shared = found.key == "shared"
        revision.python, revision.variables = (None, {}) if shared else (str(found.python), found.env)
        revision.environment = found.reason

    def _arriving(self, size: int, files: int) -> None:
        said = f"{size / 1e6:.1f} MB in {files} files of the model have come"
        set_conditions(self.record, LatestDeploymentReady=(None, "Fetching", said))

    async def _ran(self, revision: Revision) -> bool:
        """Wait until a revision's first processes are ready; False when a newer document came first.

        Raises:
            MillpondError: one will not be ready.
        """
        self._resize(revision)
        self._site.store.save(self.record)
        self._site.observer.prepare(self.record)
        runs = [self._site.processes.run(self._spec(revision, replica)) for replica in revision.replicas]
        starting: asyncio.Future[Any] = asyncio.gather(*runs)
        newer: asyncio.Future[Any] = asyncio.ensure_future(self._newer.wait())
        try:
            await asyncio.wait({starting, newer}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                return False
            starting.result()
            for service in revision.services:
                self._states[service] = "ready"
            return True
        finally:
            starting.cancel()
            newer.cancel()
            await asyncio.gather(starting, newer, return_exceptions=True)

    def _done(self, generation: int) -> None:
        record = self.record
        record.failure = None
        self._observe(generation)
        set_conditions(record, LatestDeploymentReady=(True, "", ""))
        self._site.store.save(record)
        self._site.observer.tell(record)

    def _observe(self, generation: int) -> None:
        self.record.observed = generation
        if generation == self.record.generation:  # else it is already a newer document's
            self.record.reuse = None

    def _failed(self, generation: int, reason: str, message: str, revision: str | None = None) -> None:
        record = self.record
        log.error("deployment %s: %s", record.name, message)
        record.failure = {"reason": reason, "message": message, "time": now()}
        if revision is not None:
            record.failure["modelRevisionName"] = revision
        self._observe(generation)
        set_conditions(record, LatestDeploymentReady=(False, reason, message))
        if record.active is None:
            set_conditions(record, PredictorReady=(False, reason, message))
        self._site.store.save(record)

    async def _drop(self, revision: Revision) -> None:
        """Stop a revision that will not serve; one that never did is forgotten."""
        for service in revision.services:
            await self._site.processes.end(service)
        revision.replicas = []
        if revision.ready is None:
            self.record.revisions.remove(revision)
        self._site.store.save(self.record)

    async def _end_others(self) -> None:
        """Stop every process that is not meant to run, after what is under way, and forget the oldest."""
        record = self.record
        meant = {service for revision in record.live for service in revision.services}
        others = [name for name in self._own(await self._site.processes.states()) if name not in meant]
        if others and record.active is not None:
            await asyncio.sleep(DRAIN_SECONDS)
        await asyncio.gather(*(self._site.processes.end(name) for name in others))
        for name in others:
            self._states.pop(name, None)
        live = record.live
        stopped = [revision for revision in record.revisions if revision not in live]
        changed = any(revision.replicas for revision in stopped) or len(stopped) > KEPT
        for revision in stopped:
            revision.replicas = []
        kept = sorted(stopped, key=lambda revision: (revision.name == record.previous, revision.number))
        for revision in kept[:-KEPT]:
            record.revisions.remove(revision)
        if changed:
            self._site.store.save(record)

    def _own(self, services: dict[str, str]) -> list[str]:
        """Those of the services that are this deployment's."""
        found = []
        for name in services:
            stem, _, number = name.removeprefix("serving-").partition(".")[0].rpartition("-")
            if stem == self.record.name and number.isdigit():
                found.append(name)
        return found


def _unfurnished(revision: Revision) -> bool:
    return revision.python is not None and not Path(revision.python).exists()


def _reason(error: MillpondError) -> str:
    """An error with the last line that the model's server logged, which says why it did not load."""
    said = next((line for line in reversed(error.details) if " ERROR " in line), None)
    if said is not None:
        return said.split(" ERROR ", 1)[1]
    return f"{error.message}; {error.hint}" if error.hint else error.message
