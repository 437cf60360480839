"""What a service recipe comes down to: workload, Service, volumes' claims, and what belongs to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from millpond.catalogue import Entry
from millpond.model.platform import Node, Platform
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.files import Files
from millpond.targets.kubernetes.render.pods import Pods, port_name, port_owners
from millpond.targets.kubernetes.render.realise import Realiser


class Workload:
    """One node with a service recipe, as objects."""

    def __init__(self, platform: Platform, node: Node, entry: Entry, realiser: Realiser, image: str) -> None:
        self.platform = platform
        self.node = node
        self.realiser = realiser
        self.service = node.component.service
        self.files = Files(node, entry, realiser)
        self.pods = Pods(platform, node, entry, realiser, self.files, image)
        self.labels = names.labels(platform, node)

    def objects(self) -> list[Object]:
        """Every object but policies and routes, in the order in which they are applied."""
        found: list[Object] = [self._account()]
        found += self.files.config_maps(self.labels, self.realiser.namespace)
        found += self._claims()
        if self.service.ports:
            found += self._services()
        for role in self.pods.groups():
            found += [self._workload(role), self._budget(role)]
        return found

    @property
    def several(self) -> bool:
        """Whether it has more than one pod."""
        return sum(self.replicas(role) for role in self.pods.groups()) > 1

    def replicas(self, role: str) -> int:
        """How many pods a role has: what `replicas` of the process says, or the option of that name."""
        group = self.pods.groups()[role]
        process = next(iter(group.values()))
        if process.replicas is not None:
            return int(self.realiser.template(self.node.name, process.replicas))
        return int(self.node.options.get("replicas") or 1) if role == names.MAIN else 1

    # --- objects ------------------------------------------------------------------------------------------

    def _metadata(self, name: str, role: str | None = None) -> dict[str, Any]:
        labels = names.labels(self.platform, self.node, role)
        return {"name": name, "namespace": self.realiser.namespace, "labels": labels}

    def _name(self, role: str) -> str:
        words = [self.node.name] if role == names.MAIN else [self.node.name, role]
        return names.resource(*words)

    def _account(self) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": self._metadata(names.resource(self.node.name)),
            "automountServiceAccountToken": False,
        }

    def _claims(self) -> list[Object]:
        found = []
        for name, volume in self.service.volumes.items():
            if volume.ephemeral:
                continue
            spec: dict[str, Any] = {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": volume.size}},
            }
            if self.platform.cluster.storage_class:
                spec["storageClassName"] = self.platform.cluster.storage_class
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "metadata": self._metadata(names.resource(self.node.name, name)),
                    "spec": spec,
                }
            )
        return found

    def _services(self) -> list[Object]:
        """One Service by the node's name, and one more for each process that stands apart and has ports."""
        owners = port_owners(self.pods.processes(), self.service.ports)
        roles = {name: role for role, group in self.pods.groups().items() for name in group}
        found = []
        for role in self.pods.groups():
            ports = [port for port in self.service.ports if roles.get(owners[port]) == role]
            if not ports:
                continue
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": self._metadata(self._name(role), role),
                    "spec": {
                        "type": "ClusterIP",
                        "selector": names.selector(self.platform, self.node.name, role),
                        "ports": [self._port(port) for port in ports],
                    },
                }
            )
        return found

    def _port(self, port: str) -> dict[str, Any]:
        number = self.realiser.port(self.node.name, port)
        return {"name": port_name(port), "port": number, "targetPort": number, "protocol": "TCP"}

    def _workload(self, role: str) -> Object:
        replicas = self.replicas(role)
        selector = names.selector(self.platform, self.node.name, role)
        labels = names.labels(self.platform, self.node, role)
        spec: dict[str, Any] = {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "selector": {"matchLabels": selector},
            "template": self.pods.template(role, labels, replicas),
        }
        metadata = self._metadata(self._name(role), role)
        if self._keeps(role):
            # Two pods on one volume would be two servers of one database. `Parallel`, as a pod that cannot
            # start would otherwise be in the way of the revision that mends it.
            spec |= {"serviceName": metadata["name"], "podManagementPolicy": "Parallel"}
            return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
        spec["strategy"] = {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
        }
        return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}

    def _keeps(self, role: str) -> bool:
        """Whether a role's pod has volumes whose content outlives it."""
        return role == names.MAIN and any(not volume.ephemeral for volume in self.service.volumes.values())

    def _budget(self, role: str) -> Object:
        """One pod at a time may be evicted; a node can be drained of a component that has one pod only."""
        return {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": self._metadata(self._name(role), role),
            "spec": {
                "maxUnavailable": 1,
                "selector": {"matchLabels": names.selector(self.platform, self.node.name, role)},
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
            },
        }

    def job(self, name: str, template: Mapping[str, Any], timeout: float) -> Object:
        """A Job whose name changes with what it does, as a Job's template never may."""
        labels = names.labels(self.platform, self.node, "provision")
        spec = {
            # The provider may still be on its way where everything is applied at once.
            "backoffLimit": 30,
            "template": dict(template),
        }
        return {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {
                "name": f"{name}-{names.digest(spec)[:8]}",
                "namespace": self.realiser.namespace,
                "labels": labels,
                "annotations": {"millpond.dev/timeout": f"{timeout:g}s"},
            },
            "spec": spec,
        }
