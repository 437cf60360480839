"""A platform on this machine, put together: its workspace, state, secrets, ports and blueprints."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.plan import Act, Change, Facts, Plan, compare
from millpond.model.platform import Binding, Platform
from millpond.model.scope import user_values
from millpond.targets.local import routes
from millpond.targets.local.blueprint import Blueprint
from millpond.targets.local.installs import Install, default_root
from millpond.targets.local.installs.overlay import package_hash
from millpond.targets.local.quarters import Quarters, user_for
from millpond.targets.local.realise import Realiser
from millpond.targets.local.secrets import Secrets
from millpond.targets.local.state import NodeState, State
from millpond.targets.local.supervisor.blocking import BlockingSupervisor
from millpond.targets.local.supervisor.protocol import NotRunningError
from millpond.targets.local.supervisor.spec import ServiceStatus
from millpond.targets.local.workspace import Workspace
from millpond.targets.ports import allocate, reserve


@dataclass
class House:
    """Everything that the local target knows of one platform; looking at it changes nothing."""

    platform: Platform
    catalogue: Catalogue
    workspace: Workspace
    new_ports: frozenset[str] = frozenset()
    installs: dict[str, Install] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state = State(self.workspace.state)
        self.secrets = Secrets(self.workspace.secrets)
        self.state.platform = self.platform.name
        self._allocate_ports()
        self.realiser = Realiser(
            self.platform, self.workspace, self.state, self.secrets, self._quarters(), self.installs
        )

    def _quarters(self) -> Mapping[str, Quarters]:
        return {
            name: Quarters(
                self.workspace, node, self.catalogue.entry(node.component.name).folder, user_for(node)
            )
            for name, node in self.platform.nodes.items()
        }

    def _allocate_ports(self) -> None:
        """Give every port of the platform a number: the flavour's, the kept one, or a free one."""
        for name, node in self.platform.nodes.items():
            known = self.state.nodes.setdefault(name, NodeState(node.component.name))
            if name in self.new_ports:
                known.ports = {}
        fixed = self._fixed_ports()
        for name, node in self.platform.nodes.items():
            ports = self.state.nodes[name].ports
            for port, usual in node.component.service.ports.items():
                if port in node.ports:
                    ports[port] = node.ports[port]
                elif port not in ports or ports[port] in fixed:
                    ports[port] = allocate(usual, {*fixed, *self._given_ports()})
                reserve(ports[port])

    def _fixed_ports(self) -> Mapping[int, str]:
        """The ports that the flavour names, which nobody else may have."""
        found: dict[int, str] = {}
        for name, node in self.platform.nodes.items():
            for port, number in node.ports.items():
                if number in found:
                    raise MillpondError(
                        f"{name} and {found[number]} both want port {number} ({port})",
                        hint=f"name another one under components: {name}: ports:",
                        exit_code=3,
                    )
                found[number] = name
        return found

    def _given_ports(self) -> Iterable[int]:
        return [port for node in self.state.nodes.values() for port in node.ports.values()]

    @cached_property
    def blueprints(self) -> Mapping[str, Blueprint]:
        """Every node, worked out for this machine."""
        return {
            name: Blueprint(node, self.catalogue.entry(node.component.name), self.realiser)
            for name, node in self.platform.nodes.items()
        }

    @cached_property
    def wished(self) -> Mapping[str, Facts]:
        """The digest of every node."""
        overlay = package_hash(default_root())
        return {name: blueprint.facts(overlay) for name, blueprint in self.blueprints.items()}

    def statuses(self) -> dict[str, ServiceStatus]:
        """What the supervisor says of every process; empty when it does not run."""
        try:
            return {found.name: found for found in BlockingSupervisor(self.workspace.run).status()}
        except NotRunningError:
            return {}

    def plan(self) -> Plan:
        """The difference between the platform and what runs, with what is still to be made for an asker."""
        statuses = self.statuses()
        ready = {name for name, status in statuses.items() if status.state == "ready"}
        running = frozenset(
            name
            for name, node in self.state.nodes.items()
            if node.processes and ready.issuperset(node.processes)
        )
        known = self.state.facts()
        for status in statuses.values():
            # Also what an interrupted or forgotten start has left behind.
            if status.component not in self.platform.nodes:
                known.setdefault(status.component, Facts(""))
        found = compare(self.platform, self.wished, known, running)
        return Plan(found.platform, tuple(map(self._with_dues, found.changes)), found.notes)

    def _with_dues(self, change: Change) -> Change:
        if change.act is not Act.KEEP:
            return change
        dues = tuple(
            f"makes what {asker} asks for ({binding.requirement})"
            for asker, binding, _ in self.provisions_due(change.component)
        )
        if self.routes_due(change.component):
            dues += ("routes to the components have changed",)
        return Change(change.component, Act.KEEP, dues)

    def provisions_due(self, name: str) -> list[tuple[str, Binding, str]]:
        """What a node has still to make: asker, binding, and the digest to note when it is done."""
        blueprint, done = self.blueprints[name], self.state.nodes[name].provisions
        found = []
        for asker, binding in self.platform.askers(name):
            digest = blueprint.provision_digest(asker, binding)
            if done.get(f"{asker}.{binding.requirement}") != digest:
                found.append((asker, binding, digest))
        return found

    def routes_due(self, name: str) -> str | None:
        """The digest of the platform's routes, when the node is the gateway and was not told these yet."""
        if name != self.platform.gateway:
            return None
        digest = self.secrets.fingerprint(json.dumps(routes.routes(self.platform, self.realiser)))
        return digest if self.state.nodes[name].routes != digest else None

    def environment(self, providers: Mapping[str, str] | None = None) -> dict[str, str]:
        """What user code finds in its environment: every interface of the platform, secrets included.

        Args:
            providers: interface -> the node that is meant, where several of the platform provide it.
        """
        found: dict[str, str] = {}
        for name, value in user_values(self.platform.preferring(providers or {})):
            text = self.realiser.text(value)
            if text:
                found[name] = text
        found["MILLPOND_PROJECT"] = str(self.workspace.project)
        if "MLFLOW_TRACKING_URI" in found:
            found["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from millpond.targets.local.supervisor.spawn import around_proxy

        # A user behind a proxy reaches this machine's own services past it.
        return {**found, **around_proxy(os.environ)}
