"""Edges: who speaks to whom on which ports. They are the platform's wiring and nothing else.

An edge goes from an asker to a provider, with the ports that the provider's properties speak of: what a
process is told is what it may reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from millpond.model.platform import Binding, Node, Platform
from millpond.model.scope import bound
from millpond.model.value import Endpoint


@dataclass(frozen=True, order=True)
class Edge:
    """One asker may open connections to one provider.

    Args:
        asker: the node that asks.
        provider: the node that provides.
        ports: names of the provider's ports, sorted.
    """

    asker: str
    provider: str
    ports: tuple[str, ...]


@dataclass(frozen=True, order=True)
class Outside:
    """A node speaks to a service of the user's own.

    Args:
        asker: the node that asks.
        interface: the interface that the service provides.
    """

    asker: str
    interface: str


def edges(platform: Platform) -> list[Edge]:
    """Every edge of the platform, sorted; those of the gateway to what it opens included."""
    found: dict[tuple[str, str], set[str]] = {}
    for node in platform.nodes.values():
        for asker, endpoint in _reached(platform, node):
            found.setdefault((asker, endpoint.node), set()).add(endpoint.port)
    entrance = platform.gateway
    for name, node in platform.nodes.items() if entrance else ():
        opened = node.component.service.open
        if opened and entrance and name != entrance and node.recipe == "service":
            found.setdefault((entrance, name), set()).add(opened.port)
    return sorted(Edge(asker, provider, tuple(sorted(ports))) for (asker, provider), ports in found.items())


def outside(platform: Platform) -> list[Outside]:
    """Who speaks to services that the user runs, sorted."""
    return sorted(
        {
            Outside(name, binding.interface)
            for name, node in platform.nodes.items()
            for binding in node.bindings.values()
            if binding.external
        }
    )


def _reached(platform: Platform, node: Node) -> Iterator[tuple[str, Endpoint]]:
    """The endpoints of others that a node's bindings tell it of."""
    for binding in node.bindings.values():
        for endpoint in told(platform, node.name, binding):
            if endpoint.node != node.name:
                yield node.name, endpoint


def told(platform: Platform, asker: str, binding: Binding) -> Iterator[Endpoint]:
    """The endpoints in what a binding tells its asker."""
    for name in platform.interfaces[binding.interface].properties:
        for atom in bound(platform, asker, binding, name).atoms():
            if isinstance(atom, Endpoint):
                yield atom


def external_port(platform: Platform, interface: str) -> int | None:
    """The port of a service of the user's own, where its address tells one."""
    given = platform.external[interface].properties
    for value in given.values():
        if isinstance(value, str) and "://" in value:
            parts = urlsplit(value)
            try:
                return parts.port or {"https": 443, "http": 80}.get(parts.scheme)
            except ValueError:
                return None
    for name, wanted in platform.interfaces[interface].properties.items():
        port = str(given.get(name, wanted.default or ""))
        if wanted.type == "port" and port.isdigit():
            return int(port)
    return None
