"""Applying a survey: each unit is one task, and independent ones go in parallel.

A failure takes only those along that wait for it. What was there before and is as wished is not touched, and
whatever is interrupted is found by the next survey.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from millpond.model.errors import MillpondError, NotReadyError
from millpond.model.events import ComponentEvent, Phase
from millpond.model.plan import Act, Plan
from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import PLATFORM, Bundle, Object, Unit
from millpond.targets.kubernetes.engine import kinds
from millpond.targets.kubernetes.engine.board import Board
from millpond.targets.kubernetes.engine.gates import gate
from millpond.targets.kubernetes.engine.ownership import labels, ours
from millpond.targets.kubernetes.engine.record import Record
from millpond.targets.kubernetes.engine.releases import Releases
from millpond.targets.kubernetes.engine.removal import remove
from millpond.targets.kubernetes.engine.restarts import restart
from millpond.targets.kubernetes.engine.secrets import Secrets, foreign
from millpond.targets.kubernetes.engine.survey import MADE, Look, Survey, namespaces
from millpond.targets.kubernetes.engine.waiting import until_ready

Listener = Callable[[ComponentEvent], None]

_SERVED = 60.0
"""Seconds in which a kind has to be served once its CustomResourceDefinition is there."""

_MAKER = "millpond-record"
"""Notes that we made a namespace; a manager of its own, as the rendered namespace does not say so."""


class _SkippedError(Exception):
    def __init__(self, culprit: str) -> None:
        super().__init__(culprit)
        self.culprit = culprit


class Applier:
    """Carries out what a survey found due."""

    def __init__(
        self,
        cluster: Cluster,
        bundle: Bundle,
        survey: Survey,
        record: Record,
        secrets: Secrets,
        releases: Releases | None,
        listener: Listener,
    ) -> None:
        self.cluster = cluster
        self.bundle = bundle
        self.survey = survey
        self.record = record
        self.secrets = secrets
        self.releases = releases
        self.listener = listener
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._begun: dict[str, float] = {}
        self._failed: list[str] = []

    async def apply(self, plan: Plan) -> None:
        """Carry out a plan of the survey's.

        Raises:
            NotReadyError: at least one component did not come up; the others did.
        """
        loop = asyncio.get_running_loop()
        names = {change.component for change in plan.changes if change.act is not Act.STOP}
        for name in names:
            self._ready[name] = loop.create_future()
        await self._namespace()
        used = {(obj["apiVersion"], obj["kind"]) for obj in self.bundle}
        await self.record.add(used, namespaces(self.bundle))
        async with Board(self.cluster, self.bundle.platform, self.bundle.namespace) as board:
            await self._leavers(plan, board)
            due = [due for found in self.survey.secrets.values() for due in found]
            await self.secrets.make(due, self.survey.secret_objects)
            try:
                async with asyncio.TaskGroup() as group:
                    for change in plan.changes:
                        if change.act is not Act.STOP:
                            group.create_task(self._bring_up(change.component, change.act, board))
            finally:
                for future in self._ready.values():
                    # Nobody may have waited for a unit that failed; that is no news.
                    if future.done() and not future.cancelled():
                        future.exception()
        if self._failed:
            raise NotReadyError(
                f"not everything came up; what did not: {', '.join(sorted(self._failed))}",
                hint="mend the cause and run millpond up again; what is up stays up",
            )

    # --- one unit -----------------------------------------------------------------------------------------

    async def _bring_up(self, name: str, act: Act, board: Board) -> None:
        self._begun[name] = time.monotonic()
        try:
            await self._steps(self.bundle.units[name], act, board)
        except _SkippedError as skipped:
            self._failed.append(name)
            self._tell(name, Phase.SKIPPED, f"waits for {skipped.culprit}, which did not come up")
            self._ready[name].set_exception(_SkippedError(name))
        except MillpondError as error:
            self._failed.append(name)
            self._tell(name, Phase.FAILED, error.message, hint=error.hint, details=error.details)
            self._ready[name].set_exception(_SkippedError(name))
        else:
            self._ready[name].set_result(None)

    async def _steps(self, unit: Unit, act: Act, board: Board) -> None:
        name = unit.name
        change = next(found for found in self.survey.plan.changes if found.component == name)
        if act is Act.KEEP and not change.reasons:
            self._tell(name, Phase.KEPT)
            return
        await self._wait_for(unit)
        self._tell(name, Phase.STARTING)
        looks = {id(look.obj): look for look in self.survey.looks.get(name, [])}
        leavers = self.survey.leavers.get(name, [])
        # Jobs of an earlier wiring would go on beside the new ones, and outlive an `up` that fails.
        await remove(self.cluster, [obj for obj in leavers if obj["kind"] == "Job"], propagation="Background")
        done: list[Object] = []
        for stage in kinds.steps(unit.objects):
            made = list(await asyncio.gather(*(self._put(looks[id(obj)]) for obj in stage)))
            await self._established(name, made, board)
            done += made
        await self._restart_for_secrets(name, looks.values())
        await self._gate(name, done, board)
        if unit.release:
            await self._release(unit, board)
        if unit.then:
            self._tell(name, Phase.PROVISIONING)
            jobs = await asyncio.gather(*(self._put(looks[id(obj)]) for obj in unit.then))
            await self._gate(name, list(jobs), board, Phase.PROVISIONING)
        for obj in leavers:
            if obj["kind"] != "Job":
                await self.cluster.delete(obj, uid=obj["metadata"]["uid"])
        await self.record.keep(unit)
        self._tell(name, Phase.READY, seconds=time.monotonic() - self._begun[name])

    async def _wait_for(self, unit: Unit) -> None:
        first = (PLATFORM,) if unit.name != PLATFORM else ()
        others = [name for name in (*first, *unit.waits_for) if name in self._ready]
        waited = [name for name in others if not self._ready[name].done() and name != PLATFORM]
        if waited:
            self._tell(unit.name, Phase.WAITING, f"for {', '.join(waited)}")
        for name in others:
            await asyncio.shield(self._ready[name])

    async def _release(self, unit: Unit, board: Board) -> None:
        assert unit.release is not None
        if self.releases is None:
            raise MillpondError(f"{unit.name} is a chart, and nobody here installs charts")
        if unit.name in self.survey.releases:
            await self.releases.apply(
                unit.release, lambda text: self._tell(unit.name, Phase.INSTALLING, text)
            )
        for api_version, kind in dict.fromkeys((o["apiVersion"], o["kind"]) for o in unit.release.objects):
            await self._served(api_version, kind)
        looks = {id(look.obj): look for look in self.survey.looks.get(unit.name, [])}
        made: list[Object] = []
        for stage in kinds.steps(unit.release.objects):
            made += await asyncio.gather(*(self._put(looks[id(obj)]) for obj in stage))
        await self._gate(unit.name, made, board)

    # --- one object ---------------------------------------------------------------------------------------

    async def _put(self, look: Look) -> Object:
        """Apply an object if that is due; it is ours, so its fields come back to the file with force."""
        live = look.live
        if not look.due and live is not None:
            again = live["kind"] == "Job" and gate(live).failed
            if not again:
                return live
        remake = look.remake or (live is not None and live["kind"] == "Job")
        if live is not None and remake:
            await self._delete(live)
        elif live is None:
            await self._served(look.obj["apiVersion"], look.obj["kind"])
        obj = (
            await self.cluster.apply(look.obj, force=True) if live is not None else await self._new(look.obj)
        )
        return {**obj, "apiVersion": look.obj["apiVersion"]}

    async def _new(self, obj: Object) -> Object:
        """Without force: what has come into being since the survey may be somebody else's."""
        try:
            return await self.cluster.apply(obj)
        except ApiError as error:
            if error.reason != "Conflict":
                raise
        there = await self.cluster.get(
            obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
        )
        if there is not None and not ours(there, self.bundle.platform):
            raise foreign(f"{obj['kind']} {obj['metadata']['name']}", self.bundle.platform)
        return await self.cluster.apply(obj, force=True)

    async def _delete(self, live: Object) -> None:
        await remove(self.cluster, [live], propagation="Foreground")

    async def _served(self, api_version: str, kind: str) -> None:
        """Wait until a kind is served whose definition may have come a moment ago.

        Raises:
            ApiError: it is not served in time.
        """
        end = time.monotonic() + _SERVED
        brought = any(
            obj["kind"] in ("CustomResourceDefinition", "ConstraintTemplate") for obj in self.bundle
        ) or any(unit.release for unit in self.bundle.units.values())
        while await self.cluster.discovery.find(api_version, kind) is None:
            if not brought or time.monotonic() > end:
                await self.cluster.resource(api_version, kind)
            await asyncio.sleep(0.25)

    # --- gates --------------------------------------------------------------------------------------------

    async def _established(self, name: str, made: list[Object], board: Board) -> None:
        """Wait for CustomResourceDefinitions; being the whole cluster's, no board shows them."""
        for obj in made:
            if obj["kind"] != "CustomResourceDefinition":
                continue
            end = time.monotonic() + _SERVED
            while True:
                live = await self.cluster.get(obj["apiVersion"], obj["kind"], obj["metadata"]["name"])
                found = gate(live) if live else None
                if found and found.ready:
                    break
                if time.monotonic() > end:
                    why = found.message if found else "it is gone"
                    raise MillpondError(
                        f"CustomResourceDefinition {obj['metadata']['name']}: {why}",
                        hint="kubectl describe crd says why",
                    )
                await asyncio.sleep(0.1)

    async def _gate(self, name: str, made: list[Object], board: Board, phase: Phase = Phase.STARTING) -> None:
        gated = []
        for obj in made:
            if obj["kind"] == "PersistentVolumeClaim" or obj["kind"] == "CustomResourceDefinition":
                continue
            if obj["kind"] in kinds.GATED or not _plain(obj):
                resource = await self.cluster.resource(obj["apiVersion"], obj["kind"])
                if resource.namespaced:
                    gated.append(obj)
        if gated:
            await until_ready(
                self.cluster, board, name, gated, lambda message: self._tell(name, phase, message)
            )

    # --- around the units ---------------------------------------------------------------------------------

    async def _namespace(self) -> None:
        """Make the namespace where it is not there, and note that we did."""
        if await self.cluster.get("v1", "Namespace", self.bundle.namespace) is not None:
            return
        await self.cluster.create(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": self.bundle.namespace,
                    "labels": labels(self.bundle.platform, PLATFORM),
                    "annotations": {MADE: self.bundle.platform},
                },
            },
            manager=_MAKER,
        )

    async def _restart_for_secrets(self, name: str, looks: Iterable[Look]) -> None:
        """A pod reads its secrets when it starts; one that became another wants a restart."""
        if not any(due.changed for due in self.survey.secrets.get(name, [])):
            return
        for look in looks:
            if look.obj["kind"] in kinds.WORKLOADS and look.live is not None and not look.due:
                await restart(self.cluster, look.live)

    async def _leavers(self, plan: Plan, board: Board) -> None:
        """What left the flavour goes first, its data stays."""
        names = [change.component for change in plan.changes if change.act is Act.STOP]
        for name in names:
            self._tell(name, Phase.STOPPING)
        for name in names:
            for unit, release, namespace in self.survey.gone_releases:
                if unit == name and self.releases:
                    await self.releases.uninstall(release, namespace)
            await remove(self.cluster, self.survey.leavers.get(name, []), propagation="Background")
            self._tell(name, Phase.STOPPED, "its data is kept")

    def _tell(
        self,
        name: str,
        phase: Phase,
        message: str = "",
        *,
        seconds: float | None = None,
        hint: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        self.listener(ComponentEvent(name, phase, time.time(), message, seconds, None, hint, details))


def _plain(obj: Object) -> bool:
    """Whether a kind is ready as soon as it is there: all of the API's own but the gated ones."""
    group = obj["apiVersion"].rpartition("/")[0]
    routed = obj["kind"] in ("HTTPRoute", "GRPCRoute")
    return not routed and ("." not in group or group.endswith((".k8s.io", "k8s.io")))
