"""The engine: plan, apply, status, down, destroy, rollback of one bundle in one cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from millpond.model.errors import MillpondError, did_you_mean
from millpond.model.plan import Plan
from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, PART_OF, PLATFORM, Bundle, Object, Release
from millpond.targets.kubernetes.engine import kinds
from millpond.targets.kubernetes.engine.apply import Applier, Listener
from millpond.targets.kubernetes.engine.board import Board
from millpond.targets.kubernetes.engine.ownership import applied, unit
from millpond.targets.kubernetes.engine.record import Record, Revision
from millpond.targets.kubernetes.engine.releases import Releases
from millpond.targets.kubernetes.engine.removal import gone, remove
from millpond.targets.kubernetes.engine.restarts import restart
from millpond.targets.kubernetes.engine.status import UnitStatus, belongs, release_status, unit_status
from millpond.targets.kubernetes.engine.survey import Survey, Surveyor, made
from millpond.targets.kubernetes.engine.waiting import until_ready


class Engine:
    """One platform in its cluster.

    Args:
        cluster: the cluster.
        bundle: what is wished of it.
        releases: who installs charts.
        check: is called with the bundle before each plan and apply, and raises if a policy is broken.
    """

    def __init__(
        self,
        cluster: Cluster,
        bundle: Bundle,
        *,
        releases: Releases | None = None,
        check: Callable[[Bundle], None] | None = None,
    ) -> None:
        self.cluster = cluster
        self.bundle = bundle
        self.releases = releases
        self.check = check
        self.record = Record(cluster, bundle)
        self._surveyor = Surveyor(cluster, bundle, self.record, releases)
        self._survey: Survey | None = None

    # --- change -------------------------------------------------------------------------------------------

    async def plan(self) -> Plan:
        """What an apply would change, by a dry run of every object; changes nothing.

        Raises:
            MillpondError: the server or a policy does not take an object, or one is somebody else's.
        """
        if self.check:
            self.check(self.bundle)
        self._survey = await self._surveyor.survey()
        return self._survey.plan

    async def apply(self, listener: Listener, *, only: Iterable[str] = (), plan: Plan | None = None) -> Plan:
        """Bring the platform to its wished state.

        Args:
            listener: is told every event.
            only: these units and what they wait for; all when empty.
            plan: the one that `plan` gave a moment ago, so that nothing is looked at twice.

        Returns:
            The plan that was carried out.

        Raises:
            MillpondError: as `plan`.
            NotReadyError: a component did not come up.
        """
        if plan is None or self._survey is None or self._survey.plan is not plan:
            plan = await self.plan()
        survey, self._survey = self._survey, None
        assert survey is not None
        limited = self._limited(plan, only)
        if limited.empty:
            return limited
        applier = Applier(
            self.cluster, self.bundle, survey, self.record, self._surveyor.secrets, self.releases, listener
        )
        await applier.apply(limited)
        return limited

    async def restart(self, name: str, timeout: float | None = None) -> None:
        """Replace the pods of a unit, and wait until the new ones are ready.

        Raises:
            MillpondError: it is not running, or does not come back.
        """
        self._require(name)
        live = [obj for obj in await self._live() if unit(obj) == name and obj["kind"] in kinds.WORKLOADS]
        if not live:
            raise MillpondError(f"{name} is not running", hint="millpond up starts it")
        async with Board(self.cluster, self.bundle.platform, self.bundle.namespace) as board:
            done = await asyncio.gather(*(restart(self.cluster, obj) for obj in live))
            await until_ready(self.cluster, board, name, done, lambda _: None, timeout)

    async def rollback(
        self, name: str, revision: int | None = None, listener: Listener | None = None
    ) -> Revision:
        """Bring one unit back to what it was; data is not part of it, and the next `up` goes forward again.

        Args:
            name: the unit.
            revision: its number; the one before the newest when None.
            listener: is told every event.

        Raises:
            MillpondError: there is no such revision, or it does not come up.
        """
        self._require(name)
        found = await self.record.revisions(name)
        before = [one for one in found if one.number == revision] if revision else found[1:2]
        if not before:
            known = ", ".join(str(one.number) for one in found)
            what = f"revision {revision}" if revision else "revision before this one"
            raise MillpondError(
                f"{name} has no {what}", hint=f"known are {known}" if known else "millpond up makes the first"
            )
        objects = list(before[0].objects)
        wished = self.bundle.units[name]
        old = replace(
            wished,
            objects=tuple(obj for obj in objects if not _later(obj, wished.then)),
            then=tuple(obj for obj in objects if _later(obj, wished.then)),
        )
        if wished.release and self.releases:
            await self.releases.rollback(wished.release.name, wished.release.namespace, revision or 0)
            return before[0]
        units = {**self.bundle.units, name: old}
        engine = Engine(self.cluster, replace(self.bundle, units=units), releases=self.releases)
        await engine.apply(listener or (lambda _: None), only=[name])
        return before[0]

    async def revisions(self, name: str) -> list[Revision]:
        """The revisions of a unit, newest first, ten at most."""
        self._require(name)
        return await self.record.revisions(name)

    async def down(self) -> None:
        """Take everything down in reverse order; PersistentVolumeClaims, Secrets and the namespace stay."""
        for name, release, namespace in await self._installed():
            del name
            if self.releases:
                await self.releases.uninstall(release, namespace)
        live = [obj for obj in await self._live() if obj["kind"] not in (*kinds.KEPT, "ControllerRevision")]
        await self._remove(live)

    async def destroy_list(self) -> list[Object]:
        """What `destroy` would delete, data last."""
        live = await self._live()
        namespace = await self._own_namespace()
        live.sort(key=lambda obj: (obj["kind"] in kinds.KEPT, kinds.rank(obj)))
        return [*live, *([namespace] if namespace else [])]

    async def destroy(self, *, keep_data: bool = False) -> None:
        """Delete the platform, and wait until it is gone.

        Args:
            keep_data: leave PersistentVolumeClaims, Secrets and the namespace.

        Raises:
            MillpondError: something stays.
        """
        if keep_data:
            await self.down()
            revisions = [obj for obj in await self._live() if obj["kind"] == "ControllerRevision"]
            await remove(self.cluster, revisions, propagation="Background")
            return
        for _, release, namespace in await self._installed():
            if self.releases:
                await self.releases.uninstall(release, namespace)
        await self._remove(await self._live())
        record = await self.cluster.get(
            "v1", "ConfigMap", f"{self.bundle.platform}-record", self.bundle.namespace
        )
        if record:
            await remove(self.cluster, [record], propagation="Background")
        namespace_object = await self._own_namespace()
        if namespace_object:
            await self.cluster.delete(namespace_object)
            await gone(self.cluster, [namespace_object])

    # --- look ---------------------------------------------------------------------------------------------

    async def status(self) -> list[UnitStatus]:
        """Every unit as it is now, and what still runs of those that left."""
        installed = await self._installed()
        live, pods, events = await asyncio.gather(
            self._live(),
            self.cluster.list(
                "v1", "Pod", namespace=self.bundle.namespace, labels={PART_OF: self.bundle.platform}
            ),
            self._events(),
        )
        names = [name for name in self.bundle.units if name != PLATFORM]
        names += [
            unit(obj) for obj in live if obj["kind"] in kinds.WORKLOADS and unit(obj) not in self.bundle.units
        ]
        found = []
        for name in dict.fromkeys(names):
            mine = [obj for obj in live if unit(obj) == name and obj["kind"] not in ("ControllerRevision",)]
            wished = self.bundle.units.get(name)
            status = unit_status(
                name,
                list(wished) if wished else mine,
                [obj for obj in mine if obj["kind"] != "Secret"],
                [pod for pod in pods if belongs(pod, name)],
                events,
                [obj for obj in mine if obj["kind"] == "PersistentVolumeClaim"],
            )
            if wished and wished.release:
                status = release_status(
                    status,
                    (name, wished.release.name, wished.release.namespace) in installed,
                    await self._pods(wished.release),
                )
            found.append(status)
        return found

    async def _pods(self, release: Release) -> list[Object]:
        """The pods of a chart's release, by the label that charts give them."""
        labels = {"app.kubernetes.io/instance": release.name}
        return await self.cluster.list("v1", "Pod", namespace=release.namespace, labels=labels)

    async def wait(self, names: Iterable[str] = (), timeout: float = 300) -> None:
        """Wait until units are ready; all when none is named.

        Raises:
            MillpondError: one is not ready in time, or will not be.
        """
        end = time.monotonic() + timeout
        async with Board(self.cluster, self.bundle.platform, self.bundle.namespace) as board:
            for name in list(names) or list(self.bundle.units):
                self._require(name)
                gated = [obj for obj in self.bundle.units[name] if obj["kind"] in kinds.WORKLOADS | {"Job"}]
                left = max(0.1, end - time.monotonic())
                await until_ready(self.cluster, board, name, gated, lambda _: None, left)

    # --- parts --------------------------------------------------------------------------------------------

    async def _live(self) -> list[Object]:
        """What is ours by label and by manager."""
        await self.record.read()
        found = await self._surveyor.live()
        revisions = await self.cluster.list(
            "apps/v1",
            "ControllerRevision",
            namespace=self.bundle.namespace,
            labels={PART_OF: self.bundle.platform, MANAGED_BY: MANAGER},
        )
        return [
            obj
            for obj in [*found.values(), *revisions]
            if applied(obj)
            and not obj["metadata"].get("ownerReferences")
            and obj["kind"] != "Namespace"
            and not self.record.mine(obj)
        ]

    async def _remove(self, live: list[Object]) -> None:
        """Units in reverse order; what comes into a pod from outside first, what it needs last."""
        order = {name: number for number, name in enumerate(self.bundle.units)}
        groups: dict[int, list[Object]] = {}
        for obj in live:
            groups.setdefault(order.get(unit(obj), len(order)), []).append(obj)
        for number in sorted(groups, reverse=True):
            objects = sorted(groups[number], key=kinds.rank, reverse=True)
            data = [obj for obj in objects if obj["kind"] in kinds.KEPT]
            await remove(self.cluster, [obj for obj in objects if obj["kind"] not in kinds.KEPT])
            await remove(self.cluster, data)

    async def _installed(self) -> list[tuple[str, str, str]]:
        if self.releases is None:
            return []
        found = await self.releases.installed(self.bundle.platform)
        order = list(self.bundle.units)
        return sorted(found, key=lambda one: -order.index(one[0]) if one[0] in order else -len(order))

    async def _own_namespace(self) -> Object | None:
        found = await self.cluster.get("v1", "Namespace", self.bundle.namespace)
        return found if found and made(found) else None

    async def _events(self) -> list[Object]:
        try:
            found = await self.cluster.list("v1", "Event", namespace=self.bundle.namespace)
        except ApiError as error:
            if error.code != 403:
                raise
            return []
        return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime")))

    def _limited(self, plan: Plan, only: Iterable[str]) -> Plan:
        wanted = set(only)
        if not wanted:
            return plan
        for name in wanted:
            self._require(name)
        units = self.bundle.units
        wanted |= {PLATFORM} & set(units)
        return plan.limited(wanted, lambda name: [other for other in units[name].waits_for if other in units])

    def _require(self, name: str) -> None:
        if name not in self.bundle.units:
            raise MillpondError(
                f"no component of this platform is called {name}",
                hint=did_you_mean(name, [unit for unit in self.bundle.units if unit != PLATFORM]),
            )


def _later(obj: Object, then: tuple[Object, ...]) -> bool:
    names = {(job["kind"], job["metadata"]["name"]) for job in then}
    return (obj["kind"], obj["metadata"]["name"]) in names
