"""Whose an object is: by its labels, and by who has applied it."""

from __future__ import annotations

from dataclasses import dataclass

from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY, MANAGER, PART_OF, Object


@dataclass(frozen=True, order=True)
class Key:
    """What tells an object from all others of a cluster.

    Args:
        group: the API group; versions of one kind show the same objects.
        kind: the kind.
        namespace: empty for kinds of the whole cluster.
        name: the name.
    """

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def key(obj: Object, namespaced: bool, default: str) -> Key:
    """The key of an object.

    Args:
        obj: the object.
        namespaced: whether its kind lives in namespaces.
        default: the namespace of those that say none.
    """
    meta = obj["metadata"]
    where = (meta.get("namespace") or default) if namespaced else ""
    return Key(group(obj["apiVersion"]), obj["kind"], where, meta["name"])


def group(api_version: str) -> str:
    """The group of an apiVersion; empty for ``v1``."""
    return api_version.rpartition("/")[0]


def labels(platform: str, unit: str) -> dict[str, str]:
    """The labels by which objects that the engine makes itself are found again."""
    return {PART_OF: platform, MANAGED_BY: MANAGER, COMPONENT: unit}


def ours(obj: Object, platform: str) -> bool:
    """Whether the labels say that it belongs to the platform."""
    found = obj["metadata"].get("labels") or {}
    return found.get(PART_OF) == platform and found.get(MANAGED_BY) == MANAGER


def applied(obj: Object) -> bool:
    """Whether our field manager has had a hand in it, which is what lets it be pruned."""
    return any(entry.get("manager") == MANAGER for entry in obj["metadata"].get("managedFields") or [])


def unit(obj: Object) -> str:
    """The unit that its label names."""
    return str((obj["metadata"].get("labels") or {}).get(COMPONENT, ""))
