"""The target kubernetes as the command line uses it: plan, apply, look, reach, stop, destroy."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.plan import Plan
from millpond.model.platform import Platform
from millpond.targets.kubernetes.bundle import PLATFORM, Bundle, Object, Release
from millpond.targets.kubernetes.forwarding import Background, Forward
from millpond.targets.kubernetes.render import names, realiser, render, routes
from millpond.targets.kubernetes.render.realise import Realiser, Reference
from millpond.targets.kubernetes.userside import UserSide, wanted
from millpond.targets.ports import allocate
from millpond.targets.target import ComponentStatus, Listener, reasons, require, without_credentials

if TYPE_CHECKING:
    from millpond.targets.kubernetes.api import Cluster
    from millpond.targets.kubernetes.engine import Engine

Answer = TypeVar("Answer")
_FORWARDS = "forwards.json"


class KubernetesTarget:
    """A platform on a cluster that a kubeconfig reaches.

    Args:
        platform: the resolved platform; its settings name the context and the namespace.
        catalogue: where its components stand.
        project: the folder of the flavour file.
    """

    def __init__(self, platform: Platform, catalogue: Catalogue, project: Path) -> None:
        self.platform = platform
        self.catalogue = catalogue
        self.project = project
        self.background = Background(project / ".millpond" / _FORWARDS)

    @cached_property
    def bundle(self) -> Bundle:
        """What the platform comes down to on the cluster."""
        return render(self.platform, self.catalogue)

    @cached_property
    def _realiser(self) -> Realiser:
        return realiser(self.platform, self.catalogue)

    @property
    def namespace(self) -> str:
        """The platform's namespace."""
        return names.namespace(self.platform)

    # --- change -------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What `apply` would change, by a dry run on the server; changes nothing."""
        return self._ask(lambda engine: engine.plan())

    async def apply(self, listener: Listener, *, offline: bool = False, only: Iterable[str] = ()) -> Plan:
        """Bring the platform to its wished state.

        Args:
            listener: is told every event.
            offline: means nothing here, what the nodes pull is their business.
            only: these components and what they wait for; all when empty.

        Raises:
            NotReadyError: a component did not come up.
            PolicyError: an object would break a policy; nothing was applied.
        """
        async with self._engine() as engine:
            return await engine.apply(listener, only=self._units(only))

    async def rollback(self, name: str, revision: int | None) -> None:
        """Bring one component back to an earlier revision, and wait until it is ready.

        Args:
            name: the component.
            revision: its number; the one before the current when None.
        """
        async with self._engine() as engine:
            await engine.rollback(self._unit(name), revision)

    async def restart(self, name: str) -> None:
        """Replace the pods of one component, and wait until they are ready."""
        async with self._engine() as engine:
            await engine.restart(self._unit(name))

    async def wait(self, names: Iterable[str], timeout: float) -> None:
        """Wait until components are ready; all when none is named."""
        async with self._engine() as engine:
            await engine.wait([self._unit(name) for name in names], timeout)

    async def down(self) -> None:
        """Delete what runs; volumes, Secrets and the namespace stay."""
        self.background.stop()
        async with self._engine() as engine:
            await engine.down()

    def destroy_list(self) -> list[tuple[str, str]]:
        """What `destroy` would delete: each object with what is worth saying of it."""
        return [
            (f"{found['kind']} {found['metadata']['name']}", _size(found))
            for found in self._ask(lambda engine: engine.destroy_list())
        ]

    async def destroy(self, *, keep_data: bool = False) -> None:
        """Delete everything of the platform.

        Args:
            keep_data: leave volumes, Secrets and the namespace.
        """
        self.background.stop()
        async with self._engine() as engine:
            await engine.destroy(keep_data=keep_data)

    # --- look ---------------------------------------------------------------------------------------------

    def status(self) -> list[ComponentStatus]:
        """Every component of the platform, and what the cluster still has of those that left it."""
        found = self._ask(lambda engine: engine.status())
        nodes = {names.dns(name): name for name in self.platform.nodes}
        statuses = []
        for each in found:
            if each.name == PLATFORM:
                continue
            name = nodes.get(each.name, each.name)
            node = self.platform.nodes.get(name)
            statuses.append(
                ComponentStatus(
                    name,
                    node.component.name if node else name,
                    each.state,
                    each.since,
                    self.url(name) if node else None,
                    self._endpoints(name) if node else {},
                    each.message,
                    each.pods,
                )
            )
        order = {name: index for index, name in enumerate(self.platform.order)}
        return sorted(statuses, key=lambda status: order.get(status.name, len(order)))

    def _endpoints(self, name: str) -> dict[str, str]:
        where = self._realiser
        return {port: f"{where.host(name, port)}:{where.port(name, port)}" for port in self._ports(name)}

    def url(self, name: str) -> str | None:
        """What a browser opens for a component: by its route, else by a port that is forwarded now."""
        require(self.platform, name)
        found = routes.url(self.platform, name)
        opened = self.platform.nodes[name].component.service.open
        if found or opened is None:
            return found
        entrance = self.platform.gateway
        for forward in self.background.running():
            if forward.node == entrance and forward.port != "api":
                host = "localhost" if name == entrance else f"{names.dns(name)}.localhost"
                return f"http://{host}:{forward.local}{opened.path}"
            if entrance is None and (forward.node, forward.port) == (name, opened.port):
                return f"http://{forward.address}{opened.path}"
        return None

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component.

        Raises:
            MillpondError: it has none, or the platform was never up.
        """
        require(self.platform, name)
        found = self.platform.nodes[name].component.service.credentials
        if found is None:
            raise without_credentials(self.platform, name)
        side = self._user_side(())
        return side.template(name, found.username), side.template(name, found.password)

    def environment(self, forwards: Iterable[Forward] | None = None) -> dict[str, str]:
        """What user code on this machine finds in its environment, secrets included.

        Args:
            forwards: the ports that lead to the components; those of `forward --background` when None.

        Raises:
            MillpondError: no ports are forwarded, or the platform was never up.
        """
        if forwards is None:
            forwards = self.background.running()
            if not forwards:
                raise MillpondError(
                    f"no ports of {self.platform.name} are forwarded to this machine",
                    hint="`millpond forward --background` does it, until `millpond forward --stop`",
                )
        found = self._user_side(forwards).environment()
        return {**found, "MILLPOND_PROJECT": str(self.project)}

    def why(self, name: str) -> Iterator[str]:
        """Why a component is part of the platform, and who is wired to it, in sentences."""
        return reasons(self.platform, name)

    async def logs(
        self, name: str, *, lines: int, follow: bool, previous: bool = False
    ) -> AsyncIterator[tuple[str, str]]:
        """What the pods of a component, or of one of its processes (``dask/worker``), write.

        Yields:
            The pod and container, and a line.

        Raises:
            MillpondError: the component has no pod.
        """
        node, _, process = name.partition("/")
        require(self.platform, node)
        async with self._cluster() as cluster:
            labels = names.selector(self.platform, node)
            pods = await cluster.list("v1", "Pod", namespace=self.namespace, labels=labels)
            found = [
                (pod["metadata"]["name"], container["name"])
                for pod in pods
                for container in _containers(pod)
                if process in ("", container["name"])
            ]
            if not found:
                raise MillpondError(
                    f"{name} has no pod in the namespace {self.namespace}", hint="`millpond status` says more"
                )
            queue: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()

            async def read(pod: str, container: str) -> None:
                label = container if len(found) == 1 else f"{pod}/{container}"
                try:
                    async for line in cluster.logs(pod, container, lines=lines, follow=follow):
                        await queue.put((label, line))
                except MillpondError as error:
                    # A container that did not start yet has nothing to say, others may.
                    await queue.put((label, f"({error.message})"))
                finally:
                    await queue.put(None)

            tasks = [asyncio.create_task(read(*each)) for each in found]
            try:
                left = len(tasks)
                while left:
                    line = await queue.get()
                    if line is None:
                        left -= 1
                    else:
                        yield line
            finally:
                for task in tasks:
                    task.cancel()

    # --- reach --------------------------------------------------------------------------------------------

    def forwards(self, chosen: Iterable[str] = ()) -> list[Forward]:
        """The forwards of components, with free ports of this machine.

        Args:
            chosen: their names; none means all that user code and a browser need.
        """
        where = self._realiser
        pairs = wanted(self.platform)
        chosen = list(chosen)
        if chosen:
            for name in chosen:
                require(self.platform, name)
                if not self._ports(name):
                    raise MillpondError(f"{name} has no ports")
            pairs = [(name, port) for name in chosen for port in self._ports(name)]
        taken: set[int] = set()
        found = []
        for name, port in pairs:
            service, _, rest = where.host(name, port).partition(".")
            namespace = rest.removesuffix(".svc")
            number = where.port(name, port)
            local = allocate(number, taken)
            taken.add(local)
            found.append(Forward(name, port, service, namespace, number, local))
        return found

    def _ports(self, name: str) -> list[str]:
        node = self.platform.nodes[name]
        return list(node.chart.endpoints if node.chart else node.component.service.ports)

    def kubectl(self) -> list[str]:
        """The program kubectl with what makes it speak to the platform's cluster."""
        from millpond.targets.kubernetes.tools import kubectl

        context = self.platform.cluster.context
        return [str(kubectl()), *(["--context", context] if context else [])]

    def pod(self, name: str) -> str:
        """What ``kubectl exec`` calls a running pod of a component."""
        require(self.platform, name)

        async def found() -> str:
            async with self._cluster() as cluster:
                labels = names.selector(self.platform, name)
                pods = await cluster.list("v1", "Pod", namespace=self.namespace, labels=labels)
                running = [pod for pod in pods if pod.get("status", {}).get("phase") == "Running"]
                if not running:
                    raise MillpondError(
                        f"{name} has no running pod", hint="`millpond status` tells how it is"
                    )
                return str(running[0]["metadata"]["name"])

        return asyncio.run(found())

    async def services(self, places: Iterable[tuple[str, str, str, int]]) -> tuple[str, str, str, int] | None:
        """The first of some Services (namespace, name, scheme, port) that the cluster has."""
        async with self._cluster() as cluster:
            for place in places:
                if await cluster.get("v1", "Service", place[1], place[0]) is not None:
                    return place
        return None

    def templates(self) -> Callable[[Release], Iterable[Object]] | None:
        """What turns charts into objects for `render`; None where the platform has none."""
        if not any(unit.release for unit in self.bundle.units.values()):
            return None
        template: Callable[[Release], Iterable[Object]] = self._releases().template
        return template

    # --- inside -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _cluster(self) -> AsyncIterator[Cluster]:
        from millpond.targets.kubernetes.api import Cluster

        settings = self.platform.cluster
        cluster = Cluster.connect(settings.context, self.namespace)
        try:
            yield cluster
        finally:
            await cluster.aclose()

    @asynccontextmanager
    async def _engine(self) -> AsyncIterator[Engine]:
        from millpond.targets.kubernetes.engine import Engine
        from millpond.targets.kubernetes.policies import check

        async with self._cluster() as cluster:
            yield Engine(
                cluster,
                self.bundle,
                releases=self._releases(),
                check=lambda bundle: check(bundle, self.platform.policies),
            )

    def _releases(self) -> Any:
        """Who installs charts; also asked where none is wished, as one may have left the flavour."""
        from millpond.targets.kubernetes.charts import releases

        return releases(self.platform.cluster.context)

    def _ask(self, question: Callable[[Engine], Awaitable[Answer]]) -> Answer:
        async def ask() -> Answer:
            async with self._engine() as engine:
                return await question(engine)

        return asyncio.run(ask())

    def _unit(self, name: str) -> str:
        require(self.platform, name)
        return names.dns(name)

    def _units(self, only: Iterable[str]) -> list[str]:
        return [self._unit(name) for name in only]

    def _user_side(self, forwards: Iterable[Forward]) -> UserSide:
        ports = {(each.node, each.port): each.local for each in forwards}
        return UserSide(self.platform, self.catalogue, asyncio.run(self._secrets()), ports)

    async def _secrets(self) -> Mapping[Reference, str]:
        """The values of the platform's Secrets.

        Raises:
            MillpondError: there are none, so that the platform was never up.
        """
        made = {secret.name for secret in self.bundle.secrets}
        found: dict[Reference, str] = {}
        async with self._cluster() as cluster:
            labels = {"app.kubernetes.io/part-of": self.platform.name}
            for secret in await cluster.list("v1", "Secret", namespace=self.namespace, labels=labels):
                name = secret["metadata"]["name"]
                for key, text in (secret.get("data") or {}).items():
                    found[Reference(name, key)] = base64.b64decode(text).decode()
        if made and not any(reference.secret in made for reference in found):
            raise MillpondError(
                f"this platform has never been up in the namespace {self.namespace}",
                hint="millpond up brings it up",
            )
        return found


def _size(found: Object) -> str:
    """How large a volume is; nothing of other objects."""
    if found["kind"] != "PersistentVolumeClaim":
        return ""
    storage = found.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", "")
    return str(found.get("status", {}).get("capacity", {}).get("storage", storage))


def _containers(pod: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers whose logs are worth reading: those that go on, and sidecars."""
    spec = pod["spec"]
    sidecars = [each for each in spec.get("initContainers", []) if each.get("restartPolicy") == "Always"]
    return [*sidecars, *spec["containers"]]
