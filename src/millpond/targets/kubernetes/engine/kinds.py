"""What the engine knows of kinds: their order, which hold data, which cannot be changed."""

from __future__ import annotations

from millpond.targets.kubernetes.bundle import Object

_ORDER = (
    "Namespace",
    "CustomResourceDefinition",
    "ConstraintTemplate",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "PriorityClass",
    "StorageClass",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "Secret",
    "ConfigMap",
    "PersistentVolumeClaim",
    "Service",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
)
_LAST = ("HorizontalPodAutoscaler", "Gateway", "HTTPRoute", "GRPCRoute", "Ingress")

KEPT = frozenset({"PersistentVolumeClaim", "Secret"})
"""What stays when its component leaves or the platform goes down: data, and the secrets it was made with."""

REMADE = frozenset(
    {"Job", "Deployment", "StatefulSet", "DaemonSet", "Service", "RoleBinding", "PodDisruptionBudget"}
)
"""Kinds without data of their own: a change that the API does not allow is made by deleting them first."""

GATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "Job", "PersistentVolumeClaim"})
"""Kinds of the API itself that are not ready as soon as they are there."""

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})

API_VERSIONS = (
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "DaemonSet"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("networking.k8s.io/v1", "Ingress"),
    ("policy/v1", "PodDisruptionBudget"),
)
"""Kinds that every platform may have had, looked into even where nothing is recorded."""


def rank(obj: Object) -> int:
    """Where an object comes in the order of applying; kinds that are not known come after the workloads."""
    kind = obj["kind"]
    if kind in _ORDER:
        return _ORDER.index(kind)
    return len(_ORDER) + 1 + (_LAST.index(kind) if kind in _LAST else -1)


def steps(objects: tuple[Object, ...]) -> list[list[Object]]:
    """The objects in groups: those of one group may be applied at once, each group after the one before."""
    found: dict[int, list[Object]] = {}
    for obj in objects:
        found.setdefault(_STAGES[rank(obj)] if rank(obj) < len(_STAGES) else rank(obj) + 100, []).append(obj)
    return [found[stage] for stage in sorted(found)]


_STARTS = (
    "CustomResourceDefinition",
    "ConstraintTemplate",
    "ValidatingAdmissionPolicy",
    "PriorityClass",
    "Deployment",
)
"""Each of these begins a new stage; what lies between two of them does not wait for one another."""


def _stages() -> list[int]:
    stage, found = 0, []
    for kind in _ORDER:
        stage += kind in _STARTS
        found.append(stage)
    return found


_STAGES = _stages()
