"""The local target as the command line uses it: plan, apply, look, stop, destroy."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.plan import Plan
from millpond.model.platform import Platform
from millpond.targets.local.blueprint import Blueprint
from millpond.targets.local.house import House
from millpond.targets.local.installs import Install
from millpond.targets.local.supervisor.spec import ServiceStatus
from millpond.targets.local.workspace import Workspace
from millpond.targets.target import ComponentStatus, reasons, require, without_credentials

if TYPE_CHECKING:
    from millpond.targets.local.apply import Listener
    from millpond.targets.local.supervisor.client import Supervisor


_WORST = ("failed", "backoff", "unhealthy", "stopping", "stopped", "waiting", "starting", "ready")


class LocalTarget:
    """A platform as plain processes on this machine.

    Args:
        platform: the resolved platform.
        catalogue: where its components stand.
        project: the folder of the flavour file.
        new_ports: nodes that get new ports instead of the kept ones.
    """

    def __init__(
        self, platform: Platform, catalogue: Catalogue, project: Path, new_ports: Iterable[str] = ()
    ) -> None:
        self.platform = platform
        self.workspace = Workspace(project)
        self._new_ports = frozenset(new_ports)
        self.house = House(platform, catalogue, self.workspace, self._new_ports)
        self.catalogue = catalogue

    # --- change -------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What `apply` would change; reads only."""
        return self.house.plan()

    async def apply(self, listener: Listener, *, offline: bool = False, only: Iterable[str] = ()) -> Plan:
        """Bring the platform to its wished state.

        Args:
            listener: is told every event.
            offline: never try the network; what is not cached is an error.
            only: these nodes and what they wait for; all when empty.

        Returns:
            The plan that was carried out.

        Raises:
            BusyError: another command is changing the platform.
            NotReadyError: a component did not come up.
        """
        with self.workspace.changing():
            # Another command may have changed it since this one was begun.
            self.house = House(self.platform, self.catalogue, self.workspace, self._new_ports)
            plan = self._limited(self.plan(), only)
            if plan.empty:
                return plan
            self.house.state.save()
            # Where there is nothing to do, what does it need not be loaded.
            from millpond.targets.local.apply import Applier
            from millpond.targets.local.installs import InstallStore

            await Applier(self.house, InstallStore(offline=offline), listener).apply(plan)
            return plan

    def _limited(self, plan: Plan, only: Iterable[str]) -> Plan:
        wanted = set(only)
        if not wanted:
            return plan
        for name in wanted:
            self._require(name)
        return plan.limited(wanted, lambda name: self.platform.nodes[name].waits_for)

    async def down(self) -> None:
        """Stop everything in reverse order, and the supervisor; data, ports and secrets stay."""
        await shut_down(self.workspace)

    async def stop(self, name: str) -> None:
        """Stop one component, and what it started itself."""
        self._require(name)
        with self.workspace.changing():
            supervisor = _supervisor(self.workspace)
            names = [found.name for found in await supervisor.status() if found.component == name]
            await supervisor.stop(*names)

    async def restart(self, name: str) -> None:
        """Restart one component, and wait until it is ready.

        Raises:
            MillpondError: it is not running, or does not come back.
        """
        self._require(name)
        with self.workspace.changing():
            supervisor = _supervisor(self.workspace)
            known = {found.name for found in await supervisor.status()}
            processes = [found for found in self.house.blueprints[name].process_names() if found in known]
            if not processes:
                raise MillpondError(f"{name} is not running", hint="millpond up starts it")
            await supervisor.stop(*processes)
            for process in processes:
                await supervisor.restart(process)
            for process in processes:
                await supervisor.ready(process, 180)

    async def wait(self, names: Iterable[str], timeout: float) -> None:
        """Wait until components are ready; all when none is named."""
        supervisor = _supervisor(self.workspace)
        for name in list(names) or list(self.platform.nodes):
            self._require(name)
            for process in self.house.blueprints[name].process_names():
                await supervisor.ready(process, timeout)

    def destroy_list(self) -> list[tuple[Path, int]]:
        """What `destroy` would delete: each folder with its size in bytes."""
        # Those of components that left the flavour are among them.
        places = (self.workspace.root, self.workspace.shared_root)
        return [(place, _size(place)) for place in places if place.exists()]

    async def destroy(self) -> None:
        """Stop everything and delete all data, secrets and state of the platform; installs stay."""
        with self.workspace.changing():
            await _supervisor(self.workspace).shutdown()
            for place, _ in self.destroy_list():
                shutil.rmtree(place)

    # --- look ---------------------------------------------------------------------------------------------

    def status(self) -> list[ComponentStatus]:
        """Every component of the platform, and what still runs of those that left it."""
        statuses = self.house.statuses()
        names = [*self.platform.order]
        names += [s.component for s in statuses.values() if s.component not in names]
        return [self._status(name, statuses) for name in dict.fromkeys(names)]

    def _status(self, name: str, statuses: dict[str, ServiceStatus]) -> ComponentStatus:
        processes = tuple(found for found in statuses.values() if found.component == name)
        node = self.platform.nodes.get(name)
        own = set(self.house.blueprints[name].process_names()) if node else set(statuses)
        main = [found for found in processes if found.name in own]
        worst = min(main, key=lambda found: _WORST.index(found.state), default=None)
        missing = own - set(statuses) if node else set()
        state = "stopped" if worst is None or missing else worst.state
        ports = self.house.state.nodes[name].ports if name in self.house.state.nodes else {}
        return ComponentStatus(
            name,
            node.component.name if node else name,
            state,
            worst.since if worst else None,
            self.url(name) if node else None,
            {port: f"127.0.0.1:{number}" for port, number in ports.items()},
            worst.message if worst and state != "ready" else "",
            processes,
        )

    def url(self, name: str) -> str | None:
        """What a browser opens for a component: through the gateway where there is one."""
        node = self.platform.nodes[name]
        opened = node.component.service.open
        if opened is None:
            return None
        gateway = self.platform.gateway
        if gateway is None:
            return f"http://127.0.0.1:{self.house.state.nodes[name].ports[opened.port]}{opened.path}"
        # Where the gateway has several ports, the first is the public one.
        port = next(iter(self.house.state.nodes[gateway].ports.values()))
        host = "localhost" if name == gateway else f"{name}.localhost"
        return f"http://{host}:{port}{opened.path}"

    def logs(self, name: str) -> list[Path]:
        """The log files of a component's processes and jobs, or of one process (``dask/worker``)."""
        if name in self.platform.nodes:
            names = self.house.blueprints[name].process_names()
            names += [found.name for found in self.house.statuses().values() if found.component == name]
            names.append(f"{name}/jobs")
        else:
            known = self.house.statuses()
            if name not in known:
                self._require(name)
            names = [name]
        paths = [self.workspace.log(found) for found in dict.fromkeys(names)]
        known_logs = {found.name: Path(found.log) for found in self.house.statuses().values() if found.log}
        paths += [known_logs[found] for found in names if found in known_logs]
        return [path for path in dict.fromkeys(paths) if path.exists()]

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component.

        Raises:
            MillpondError: it has none.
        """
        self._require(name)
        found = self.platform.nodes[name].component.service.credentials
        if found is None:
            raise without_credentials(self.platform, name)
        self._require_made()
        return self.house.realiser.template(name, found.username), self.house.realiser.template(
            name, found.password
        )

    def environment(self, providers: Mapping[str, str] | None = None) -> dict[str, str]:
        """What user code finds in its environment, secrets included.

        Args:
            providers: interface -> the node that is meant, where several of the platform provide it.

        Raises:
            MillpondError: the platform has never been up, so there are no secrets yet.
        """
        self._require_made()
        return self.house.environment(providers)

    async def component_environment(self, name: str) -> dict[str, str]:
        """What a component's own first process finds in its environment, secrets included.

        Raises:
            InstallError: it is not installed.
        """
        self._require(name)
        self._require_made()
        self.house.installs[name] = await self.install(name, offline=True)
        return next((dict(spec.env) for spec in self.house.blueprints[name].processes(self.platform)), {})

    def why(self, name: str) -> Iterator[str]:
        """Why a component is part of the platform, and who is wired to it, in sentences."""
        return reasons(self.platform, name)

    async def install(self, lock_owner: Blueprint | str, *, offline: bool = False) -> Install:
        """Make sure that a node's parts are installed, and say where they are."""
        blueprint = self.house.blueprints[lock_owner] if isinstance(lock_owner, str) else lock_owner
        from millpond.targets.local.installs import InstallStore

        store = InstallStore(offline=offline)
        return await store.ensure(blueprint.install_request, reader=blueprint.quarters.uid)

    def _require_made(self) -> None:
        if not self.workspace.secrets.exists():
            raise MillpondError("this platform has never been up", hint="millpond up brings it up")

    def _require(self, name: str) -> None:
        require(self.platform, name)


async def shut_down(workspace: Workspace) -> None:
    """Stop a platform in reverse order, and its supervisor, without reading its flavour file.

    Raises:
        BusyError: another command is changing the platform.
    """
    with workspace.changing():
        await _supervisor(workspace).shutdown()


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _supervisor(workspace: Workspace) -> Supervisor:
    from millpond.targets.local.supervisor.client import Supervisor

    return Supervisor(workspace.run)
