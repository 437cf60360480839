"""The target kubernetes as the command line uses it: render, then let the engine do the rest."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.events import ComponentEvent
from millpond.model.plan import Plan
from millpond.model.platform import Platform
from millpond.model.value import Atom, Elsewhere, Secret, Value
from millpond.targets import reasons
from millpond.targets.kubernetes.bundle import PART_OF, PLATFORM, Bundle, Object
from millpond.targets.kubernetes.render import names, realiser, render, routes, user_values
from millpond.targets.kubernetes.render.realise import elsewhere

if TYPE_CHECKING:
    from millpond.targets.kubernetes.api import Cluster
    from millpond.targets.kubernetes.engine import Engine, PodStatus, Revision, UnitStatus

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Pod:
    """One pod, as ``status --json`` prints it."""

    status: PodStatus

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        found = self.status
        return {
            "name": found.name,
            "state": found.state,
            "containers": list(found.containers),
            "restarts": found.restarts,
            "node": found.node,
            "since": found.since,
        }


@dataclass(frozen=True)
class ClusterStatus:
    """One component on a cluster; see `millpond.targets.target.Status`."""

    name: str
    component: str
    state: str
    since: float | None
    url: str | None
    endpoints: dict[str, str]
    message: str
    processes: tuple[Pod, ...]


class KubernetesTarget:
    """A platform on the cluster that a kubeconfig reaches.

    Args:
        platform: the resolved platform; its `cluster` names context and namespace.
        catalogue: where its components stand.
    """

    def __init__(self, platform: Platform, catalogue: Catalogue) -> None:
        self.platform = platform
        self.catalogue = catalogue
        self.bundle: Bundle = render(platform, catalogue)
        self.realiser = realiser(platform, catalogue)

    @property
    def namespace(self) -> str:
        """The platform's namespace."""
        return self.bundle.namespace

    @asynccontextmanager
    async def cluster(self) -> AsyncIterator[Cluster]:
        """The cluster, for one command."""
        from millpond.targets.kubernetes.api import Cluster

        async with Cluster.connect(self.platform.cluster.context, self.namespace) as found:
            yield found

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Engine]:
        """The engine, for one command."""
        from millpond.targets.kubernetes.engine import Engine

        async with self.cluster() as cluster:
            yield Engine(cluster, self.bundle, check=self._check)

    def _check(self, bundle: Bundle) -> None:
        from millpond.targets.kubernetes.policies import check

        check(bundle, self.platform.policies)

    def _ask(self, question: Callable[[Engine], Coroutine[Any, Any, Answer]]) -> Answer:
        async def asked() -> Answer:
            async with self.engine() as engine:
                return await question(engine)

        return asyncio.run(asked())

    # --- change -------------------------------------------------------------------------------------------

    def plan(self) -> Plan:
        """What `apply` would change; reads only."""
        return self._ask(lambda engine: engine.plan())

    async def apply(
        self,
        listener: Callable[[ComponentEvent], None],
        *,
        offline: bool = False,
        only: Iterable[str] = (),
    ) -> Plan:
        """Bring the platform to its wished state; `offline` means nothing here, as nodes pull images."""
        wanted = list(only)
        for name in wanted:
            reasons.require(self.platform, name)
        async with self.engine() as engine:
            return await engine.apply(listener, only=[names.dns(name) for name in wanted])

    async def rollback(
        self, name: str, revision: int | None, listener: Callable[[ComponentEvent], None]
    ) -> Revision:
        """Bring one component back to an earlier revision; the one before when None."""
        reasons.require(self.platform, name)
        async with self.engine() as engine:
            return await engine.rollback(names.dns(name), revision, listener)

    async def restart(self, name: str) -> None:
        """Replace a component's pods, and wait until the new ones are ready."""
        reasons.require(self.platform, name)
        async with self.engine() as engine:
            await engine.restart(names.dns(name))

    async def wait(self, names_: Iterable[str], timeout: float) -> None:
        """Wait until components are ready; all when none is named."""
        wanted = list(names_)
        for name in wanted:
            reasons.require(self.platform, name)
        async with self.engine() as engine:
            await engine.wait([names.dns(name) for name in wanted], timeout)

    async def down(self) -> None:
        """Remove what runs; volumes and secrets stay."""
        async with self.engine() as engine:
            await engine.down()

    def destroy_list(self) -> list[Object]:
        """What `destroy` would delete."""
        return self._ask(lambda engine: engine.destroy_list())

    async def destroy(self, *, keep_data: bool = False) -> None:
        """Delete the platform; with `keep_data` all but its volumes and secrets."""
        async with self.engine() as engine:
            await engine.destroy(keep_data=keep_data)

    # --- look ---------------------------------------------------------------------------------------------

    def status(self) -> list[ClusterStatus]:
        """Every component of the platform, and what is still there of those that left it."""
        known = {names.dns(name): name for name in self.platform.nodes}
        found = self._ask(lambda engine: engine.status())
        return [self._status(unit, known.get(unit.name)) for unit in found if unit.name != PLATFORM]

    def _status(self, unit: UnitStatus, name: str | None) -> ClusterStatus:
        return ClusterStatus(
            name or unit.name,
            self.platform.nodes[name].component.name if name else unit.name,
            unit.state,
            unit.since,
            self.url(name) if name else None,
            self._endpoints(name) if name else {},
            unit.message if unit.state != "ready" else "",
            tuple(Pod(pod) for pod in unit.pods),
        )

    def _endpoints(self, name: str) -> dict[str, str]:
        node = self.platform.nodes[name]
        chart = node.component.chart
        ports = chart.endpoints if node.recipe == "chart" and chart else node.component.service.ports
        return {port: f"{self.realiser.host(name, port)}:{self.realiser.port(name, port)}" for port in ports}

    def url(self, name: str) -> str | None:
        """What a browser opens for a component: its route's address; None where no route leads to it."""
        return routes.url(self.platform, name)

    def why(self, name: str) -> Iterator[str]:
        """Why a component is part of the platform, and who is wired to it, in sentences."""
        return reasons.why(self.platform, name)

    async def logs(self, name: str, lines: int) -> AsyncIterator[tuple[str, str]]:
        """The last lines of each of a component's containers: ``pod/container`` and the line.

        A container that crashed tells what it wrote before it was started again.
        """
        from millpond.targets.kubernetes.api import ApiError

        reasons.require(self.platform, name)
        async with self.cluster() as cluster:
            labels = {PART_OF: self.platform.name, names.INSTANCE: names.dns(name)}
            for pod in await cluster.list("v1", "Pod", labels=labels):
                states = (pod.get("status") or {}).get("containerStatuses") or []
                crashed = {each["name"] for each in states if "waiting" in (each.get("state") or {})}
                for container in pod["spec"]["containers"]:
                    who, called = pod["metadata"]["name"], container["name"]
                    try:
                        async for line in cluster.logs(who, called, lines=lines, previous=called in crashed):
                            yield f"{who}/{called}", line
                    except ApiError as error:
                        # One that has never run has no log.
                        if error.code not in (400, 404):
                            raise

    # --- secrets ------------------------------------------------------------------------------------------

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component.

        Raises:
            MillpondError: it has none, or the platform has never been up.
        """
        reasons.require(self.platform, name)
        found = self.platform.nodes[name].component.service.credentials
        if found is None:
            having = [n for n, node in self.platform.nodes.items() if node.component.service.credentials]
            raise MillpondError(
                f"{name} has no credentials", hint=f"these have: {', '.join(having)}" if having else None
            )
        scope = self.realiser.scope(name)
        username, password = self._texts([scope.value(found.username), scope.value(found.password)])
        return username, password

    def environment(self) -> dict[str, str]:
        """What user code finds in its environment inside the cluster, secrets included."""
        values = user_values(self.platform)
        texts = self._texts(list(values.values()))
        return {name: text for name, text in zip(values, texts, strict=True) if text}

    def _texts(self, values: list[Value]) -> list[str]:
        """The texts of values, their secrets read from the cluster."""
        wanted = {
            found.secret
            for value in values
            for atom in self.realiser.expand(value).atoms()
            if isinstance(atom, Secret) and (found := self.realiser.reference(Value((atom,))))
        }

        async def read() -> dict[str, dict[str, str]]:
            async with self.cluster() as cluster:
                kept = await asyncio.gather(*(cluster.get("v1", "Secret", name) for name in wanted))
            return {
                secret["metadata"]["name"]: {
                    key: base64.b64decode(text).decode() for key, text in (secret.get("data") or {}).items()
                }
                for secret in kept
                if secret is not None
            }

        kept = asyncio.run(read()) if wanted else {}

        def text(atom: Atom) -> str:
            if isinstance(atom, Elsewhere):
                # The user has it here.
                return elsewhere(atom)
            reference = self.realiser.reference(Value((atom,)))
            if reference is None:
                return self.realiser.text(Value((atom,)))
            try:
                return kept[reference.secret][reference.key]
            except KeyError:
                raise MillpondError(
                    f"the Secret {reference.secret} in {self.namespace} has no {reference.key}",
                    hint="millpond up makes it",
                ) from None

        return [self.realiser.expand(value).realise(text) for value in values]
