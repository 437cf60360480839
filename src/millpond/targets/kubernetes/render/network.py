"""NetworkPolicies: everything is closed, then the edges of the wiring are opened, from both ends.

https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from millpond.model.platform import Node, Platform
from millpond.targets.kubernetes.bundle import PART_OF, Object
from millpond.targets.kubernetes.render import edges as wiring
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.realise import Realiser

_ANYWHERE = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]


class Network:
    """The policies of one platform."""

    def __init__(self, platform: Platform, realiser: Realiser) -> None:
        self.platform = platform
        self.realiser = realiser
        self.edges = wiring.edges(platform)
        self.outside = wiring.outside(platform)
        self.entrance = platform.gateway

    def closed(self) -> list[Object]:
        """The policy that closes every pod of the platform, but for asking DNS."""
        dns = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
        spec = {
            "podSelector": {"matchLabels": {PART_OF: self.platform.name}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [{"ports": dns}],
        }
        return [self._policy("closed", names.labels(self.platform), spec)]

    def of(self, node: Node, *, several: bool) -> Object:
        """The policy of one node.

        Args:
            node: the node.
            several: whether it has more than one pod, or jobs; they may speak to each other.
        """
        own = {"podSelector": {"matchLabels": names.selector(self.platform, node.name)}}
        ingress: list[dict[str, Any]] = []
        egress: list[dict[str, Any]] = []
        if several:
            # Such as workers, which find ports of their own to speak to each other.
            ingress.append({"from": [own]})
            egress.append({"to": [own]})
        for edge in self.edges:
            opened = _tcp(sorted({self.realiser.port(edge.provider, port) for port in edge.ports}))
            if edge.provider == node.name:
                ingress.append({"from": [self._peer(edge.asker)], "ports": opened})
            if edge.asker == node.name:
                egress.append({"to": [self._peer(edge.provider)], "ports": opened})
        for found in self.outside:
            if found.asker == node.name:
                port = wiring.external_port(self.platform, found.interface)
                rule: dict[str, Any] = {"to": [dict(block) for block in _ANYWHERE]}
                egress.append({**rule, "ports": _tcp([port])} if port else rule)
        public = self._public(node)
        if public:
            ingress.append({"ports": _tcp([public])})
        spec: dict[str, Any] = {
            "podSelector": {"matchLabels": names.selector(self.platform, node.name)},
            "policyTypes": ["Ingress", "Egress"],
        }
        if ingress:
            spec["ingress"] = ingress
        if egress:
            spec["egress"] = egress
        return self._policy(node.name, names.labels(self.platform, node), spec)

    def _public(self, node: Node) -> int | None:
        """The port that routes from outside the cluster lead to."""
        opened = node.component.service.open
        if opened is None or self.platform.cluster.routes.kind == "none":
            return None
        if self.entrance not in (None, node.name):
            return None
        return self.realiser.port(node.name, opened.port)

    def _peer(self, name: str) -> dict[str, Any]:
        chart = self.platform.nodes[name].chart
        if chart is None:
            return {"podSelector": {"matchLabels": names.selector(self.platform, name)}}
        pods = {key: self.realiser.template(name, text) for key, text in chart.pods.items()}
        where = {"kubernetes.io/metadata.name": self.realiser.chart_namespace(name)}
        return {"namespaceSelector": {"matchLabels": where}, "podSelector": {"matchLabels": pods}}

    def _policy(self, name: str, labels: dict[str, str], spec: dict[str, Any]) -> Object:
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": names.resource(name),
                "namespace": self.realiser.namespace,
                "labels": labels,
            },
            "spec": spec,
        }


def _tcp(ports: Iterable[int]) -> list[dict[str, Any]]:
    return [{"protocol": "TCP", "port": port} for port in ports]
