"""Where the API serves the kinds that policies look at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of objects: its group, version, and the resources by which they come in."""

    group: str
    version: str
    resources: tuple[str, ...]


NAMESPACED = {
    # A debugger joins a pod by a subresource.
    "Pod": Kind("", "v1", ("pods", "pods/ephemeralcontainers")),
    "Service": Kind("", "v1", ("services",)),
    "Deployment": Kind("apps", "v1", ("deployments",)),
    "StatefulSet": Kind("apps", "v1", ("statefulsets",)),
    "DaemonSet": Kind("apps", "v1", ("daemonsets",)),
    "ReplicaSet": Kind("apps", "v1", ("replicasets",)),
    "Job": Kind("batch", "v1", ("jobs",)),
    "CronJob": Kind("batch", "v1", ("cronjobs",)),
    "Ingress": Kind("networking.k8s.io", "v1", ("ingresses",)),
    "HTTPRoute": Kind("gateway.networking.k8s.io", "v1", ("httproutes",)),
    "RoleBinding": Kind("rbac.authorization.k8s.io", "v1", ("rolebindings",)),
}
"""What a policy can be shipped for. A binding's namespace says nothing of kinds that have none: a policy for
ClusterRoleBindings would hold for everybody's, so those are checked before an apply only."""
