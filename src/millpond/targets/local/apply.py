"""Applying a plan: installs, starts, gates, provisions; independent branches in parallel.

Each node is one task. It installs at once, waits for those it waits for, and tells what it does by events. A
node that fails takes only its dependants with it. Interrupted, the nodes that were not ready yet are stopped,
the ready ones stay, and the next `up` goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

from millpond.model.errors import MillpondError, NotReadyError
from millpond.model.events import ComponentEvent, Phase, Progress
from millpond.model.plan import Act, Plan
from millpond.model.platform import Binding
from millpond.targets.local import external, routes
from millpond.targets.local.blueprint import Blueprint
from millpond.targets.local.house import House
from millpond.targets.local.installs import InstallStore
from millpond.targets.local.installs import Progress as InstallProgress
from millpond.targets.local.jobs import end_leftovers, run
from millpond.targets.local.ports import require
from millpond.targets.local.supervisor import client
from millpond.targets.local.supervisor.client import Supervisor
from millpond.targets.local.supervisor.spec import ENDED

Listener = Callable[[ComponentEvent], None]


class _SkippedError(Exception):
    """Somebody this node waits for did not come up."""

    def __init__(self, culprit: str) -> None:
        super().__init__(culprit)
        self.culprit = culprit


class Applier:
    """Applies one plan.

    Args:
        house: the platform on this machine.
        store: where components are installed.
        listener: is told every event; called from the event loop.
    """

    def __init__(self, house: House, store: InstallStore, listener: Listener) -> None:
        self.house = house
        self.store = store
        self.listener = listener
        self.supervisor = Supervisor(house.workspace.run)
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._begun: dict[str, float] = {}
        self._failed: list[str] = []

    async def apply(self, plan: Plan) -> None:
        """Carry out the plan.

        Raises:
            NotReadyError: at least one component did not come up; the others did.
        """
        await asyncio.to_thread(end_leftovers, self.house.workspace)
        self.supervisor = await client.ensure(self.house.workspace.run)
        loop = asyncio.get_running_loop()
        for change in plan.changes:
            self._ready[change.component] = loop.create_future()
        await self._stop_leavers(plan)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check_external())
                for change in plan.changes:
                    if change.act is not Act.STOP:
                        group.create_task(self._bring_up(change.component, change.act))
        finally:
            for future in self._ready.values():
                # Nobody may have waited for a node that failed; that is no news.
                if future.done() and not future.cancelled():
                    future.exception()
        if self._failed:
            names = ", ".join(sorted(self._failed))
            raise NotReadyError(
                f"not everything came up; what did not: {names}",
                hint="mend the cause and run millpond up again; what is up stays up",
            )

    # --- one node -----------------------------------------------------------------------------------------

    async def _bring_up(self, name: str, act: Act) -> None:
        self._begun[name] = time.monotonic()
        try:
            await self._steps(name, act)
        except _SkippedError as skipped:
            self._failed.append(name)
            self._tell(name, Phase.SKIPPED, f"waits for {skipped.culprit}, which did not come up")
            self._ready[name].set_exception(_SkippedError(name))
        except MillpondError as error:
            self._failed.append(name)
            self._tell(name, Phase.FAILED, error.message, hint=error.hint, details=error.details)
            self._ready[name].set_exception(_SkippedError(name))
        except OSError as error:
            self._failed.append(name)
            self._tell(
                name, Phase.FAILED, f"{name}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")
            )
            self._ready[name].set_exception(_SkippedError(name))
        else:
            self._ready[name].set_result(None)

    async def _steps(self, name: str, act: Act) -> None:
        blueprint = self.house.blueprints[name]
        pending = self.house.provisions_due(name)
        if act is Act.KEEP and not pending and not self.house.routes_due(name):
            self._tell(name, Phase.KEPT)
            return
        await self._install(blueprint)
        await self._wait_for_providers(name)
        if act is not Act.KEEP:
            await self._prepare(blueprint)
            await self._start(blueprint)
        if pending:
            await self._provision(blueprint, pending)
        if name == self.house.platform.gateway:
            await self._put_routes(name)
        self._tell(name, Phase.READY, seconds=time.monotonic() - self._begun[name])

    async def _install(self, blueprint: Blueprint) -> None:
        name = blueprint.node.name

        def tell(progress: InstallProgress) -> None:
            if not progress.cached:
                self._tell(name, Phase.INSTALLING, progress.phase, progress=_progress(progress))

        request = blueprint.install_request
        self.house.installs[name] = await self.store.ensure(request, tell, reader=blueprint.quarters.uid)

    async def _wait_for_providers(self, name: str) -> None:
        node = self.house.platform.nodes[name]
        waited = [other for other in node.waits_for if not self._ready[other].done()]
        if waited:
            self._tell(name, Phase.WAITING, f"for {', '.join(waited)}")
        for other in node.waits_for:
            await asyncio.shield(self._ready[other])
        for binding in node.bindings.values():
            key = external.key(binding.interface)
            if binding.external and binding.wait:
                await asyncio.shield(self._external(key))

    async def _prepare(self, blueprint: Blueprint) -> None:
        name = blueprint.node.name
        state = self.house.state.nodes[name]
        # Files may hold what the next start reads, so they are written even where no job is due.
        await asyncio.to_thread(blueprint.write_files)
        digest = blueprint.prepare_digest()
        jobs = blueprint.prepare_jobs()
        if jobs and state.prepared != digest:
            self._tell(name, Phase.PREPARING)
            for job in jobs:
                await run(job, self.house.workspace)
            state.prepared = digest
            self.house.state.save()

    async def _start(self, blueprint: Blueprint) -> None:
        name = blueprint.node.name
        state = self.house.state.nodes[name]
        specs = blueprint.processes(self.house.platform)
        running = {found.name for found in await self.supervisor.status() if found.state not in ENDED}
        if not running.intersection(spec.name for spec in specs):
            for port, number in state.ports.items():
                require(name, port, number)
        self._tell(name, Phase.STARTING)
        state.digest = ""
        state.processes = [spec.name for spec in specs]
        self.house.state.save()
        try:
            for spec in specs:
                await self.supervisor.start(spec)
            for spec in specs:
                await self.supervisor.ready(spec.name, spec.start_timeout + 5)
        except BaseException:
            # Not ready is not up: neither an interruption nor a failure leaves a process half-started.
            await asyncio.shield(self._abandon([spec.name for spec in specs]))
            raise
        facts = self.house.wished[name]
        state.digest, state.inputs = facts.digest, dict(facts.inputs)
        self.house.state.save()

    async def _abandon(self, names: list[str]) -> None:
        with suppress(MillpondError):
            # Stopping one that is not known yet would stop none.
            known = {found.name for found in await self.supervisor.status()}
            await self.supervisor.stop(*known.intersection(names))

    async def _put_routes(self, name: str) -> None:
        due = self.house.routes_due(name)
        await asyncio.to_thread(routes.put_routes, self.house.platform, self.house.realiser, name)
        if due:
            self.house.state.nodes[name].routes = due
            self.house.state.save()

    async def _provision(self, blueprint: Blueprint, pending: list[tuple[str, Binding, str]]) -> None:
        name = blueprint.node.name
        state = self.house.state.nodes[name]
        for asker, binding, digest in pending:
            job = blueprint.provision_job(asker, binding)
            if job is not None:
                self._tell(name, Phase.PROVISIONING, f"for {asker}")
                await run(job, self.house.workspace)
            state.provisions[f"{asker}.{binding.requirement}"] = digest
            self.house.state.save()

    # --- what is not a node -------------------------------------------------------------------------------

    def _external(self, key: str) -> asyncio.Future[None]:
        if key not in self._ready:
            self._ready[key] = asyncio.get_running_loop().create_future()
        return self._ready[key]

    async def _check_external(self) -> None:
        for name in self.house.platform.external:
            key = external.key(name)
            future = self._external(key)
            self._begun[key] = time.monotonic()
            try:
                await external.check(self.house.platform, name, self.house.realiser)
            except MillpondError as error:
                self._failed.append(key)
                self._tell(key, Phase.FAILED, error.message, hint=error.hint)
                future.set_exception(_SkippedError(key))
            else:
                self._tell(key, Phase.READY, seconds=time.monotonic() - self._begun[key])
                future.set_result(None)

    async def _stop_leavers(self, plan: Plan) -> None:
        """Stop what left the flavour, in the reverse of the order in which it was started; data stays."""
        leavers = [change.component for change in plan.changes if change.act is Act.STOP]
        if not leavers:
            return
        statuses = await self.supervisor.status()
        for name in leavers:
            self._tell(name, Phase.STOPPING)
        # A component can have started more than its own processes: model serving has its revisions.
        names = [found.name for found in statuses if found.component in leavers]
        if names:
            await self.supervisor.stop(*names)
            for process in names:
                await self.supervisor.remove(process)
        for name in leavers:
            known = self.house.state.nodes.get(name)
            if known:
                known.digest, known.processes = "", []
            self._tell(name, Phase.STOPPED, "its data is kept")
        self.house.state.save()

    def _tell(
        self,
        name: str,
        phase: Phase,
        message: str = "",
        *,
        seconds: float | None = None,
        progress: Progress | None = None,
        hint: str | None = None,
        details: tuple[str, ...] = (),
    ) -> None:
        self.listener(
            ComponentEvent(name, phase, time.time(), message, seconds, progress, hint, tuple(details))
        )


def _progress(found: InstallProgress) -> Progress | None:
    if found.done is None or found.unit is None:
        return None
    return Progress(found.kind, found.done, found.total, found.unit)
