"""Platforms: a flavour resolved against the catalogue. Every requirement is bound, every order known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any

from millpond.model.cluster import Cluster, Policies
from millpond.model.component import Chart, Component, Resources
from millpond.model.flavour import FromElsewhere
from millpond.model.interface import Interface

USER = "user"


@dataclass(frozen=True)
class Binding:
    """One satisfied requirement.

    Args:
        requirement: the name under which the asker speaks of it (``database``).
        interface: the interface's name.
        provider: the node that provides it; empty when a service of the user's own does.
        provision: the name of the provision at the provider.
        request: what was asked for, such as the database's name.
        wait: whether the asker starts only when the provider is ready.
    """

    requirement: str
    interface: str
    provider: str
    provision: str
    request: Mapping[str, str]
    wait: bool

    @property
    def external(self) -> bool:
        """Whether a service of the user's own meets it."""
        return not self.provider


@dataclass(frozen=True)
class Node:
    """One component of the platform, with its options and bindings."""

    name: str
    component: Component
    options: Mapping[str, Any]
    bindings: Mapping[str, Binding]
    binaries: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    because: str = "the flavour names it"
    recipe: str = "service"
    image: str | None = None
    wanted: Resources | None = None
    values: Mapping[str, Any] | str = field(default_factory=dict)

    @property
    def resources(self) -> Resources:
        """What it needs: what the flavour says, else what the component does."""
        return self.wanted or self.component.service.resources

    @property
    def chart(self) -> Chart | None:
        """The chart that realises it; None when its recipe is another one."""
        return self.component.chart if self.recipe == "chart" else None

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The nodes that must be ready before this one starts, sorted."""
        return tuple(sorted({b.provider for b in self.bindings.values() if b.wait and b.provider}))


@dataclass(frozen=True)
class External:
    """A service that the user runs: the properties of the interface that it provides."""

    interface: str
    properties: Mapping[str, str | int | FromElsewhere]


@dataclass(frozen=True)
class Platform:
    """The resolved graph: pure data, the same for every target."""

    name: str
    target: str
    nodes: Mapping[str, Node]
    external: Mapping[str, External]
    interfaces: Mapping[str, Interface]
    user: Mapping[str, Binding]
    notes: tuple[str, ...] = ()
    cluster: Cluster = field(default_factory=Cluster)
    policies: Policies = field(default_factory=Policies)

    @property
    def order(self) -> tuple[str, ...]:
        """The nodes in an order in which each comes after those that it waits for."""
        graph = {name: node.waits_for for name, node in sorted(self.nodes.items())}
        return tuple(TopologicalSorter(graph).static_order())

    def providers(self, interface: str) -> list[tuple[str, str]]:
        """Who provides an interface: (node, provision), in the order of the flavour."""
        return [
            (name, provision)
            for name, node in self.nodes.items()
            for provision, provided in node.component.provides.items()
            if provided.interface == interface
        ]

    def preferring(self, providers: Mapping[str, str]) -> Platform:
        """The same platform, whose user is told of these providers: interface -> node."""
        user = dict(self.user)
        for interface, node in providers.items():
            for name, provision in self.providers(interface):
                if name == node and interface in user:
                    user[interface] = replace(user[interface], provider=name, provision=provision)
        return replace(self, user=user)

    @property
    def gateway(self) -> str | None:
        """The node that is the platform's entrance, if it has one."""
        found = self.providers("gateway")
        return found[0][0] if found else None

    def askers(self, provider: str) -> list[tuple[str, Binding]]:
        """Every binding that a node serves, with who asks; the user comes last."""
        found = [
            (name, binding)
            for name, node in self.nodes.items()
            for binding in node.bindings.values()
            if binding.provider == provider
        ]
        return found + [(USER, b) for b in self.user.values() if b.provider == provider]

    def dependants(self, name: str) -> list[str]:
        """The nodes that wait for this one, directly."""
        return [other for other, node in self.nodes.items() if name in node.waits_for]
