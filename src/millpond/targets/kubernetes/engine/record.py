"""What the cluster keeps for us: which kinds were ever applied, and the newest revisions of each unit.

The kinds stand in a ConfigMap and are written before the first object of a kind is applied, so that a
command that is killed leaves nothing that the next one would not look for. Revisions are ControllerRevisions,
as those of a StatefulSet are; there is nothing secret in them, as nothing rendered has any.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import (
    COMPONENT,
    MANAGED_BY,
    MANAGER,
    PART_OF,
    PLATFORM,
    Bundle,
    Object,
    Unit,
)
from millpond.targets.kubernetes.engine.ownership import labels

KEEP = 10
"""Revisions per unit."""

Kinds = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Revision:
    """What a unit was once.

    Args:
        number: counts from 1.
        at: when it was applied, as the API writes times.
        objects: its rendered objects.
    """

    number: int
    at: str
    objects: tuple[Object, ...]


class Record:
    """The record of one platform."""

    def __init__(self, cluster: Cluster, bundle: Bundle) -> None:
        self._cluster = cluster
        self._platform = bundle.platform
        self._namespace = bundle.namespace
        self._name = f"{bundle.platform}-record"
        self.kinds: Kinds = frozenset()
        self.namespaces: frozenset[str] = frozenset()

    async def read(self) -> None:
        """Read which kinds and namespaces were ever used."""
        found = await self._cluster.get("v1", "ConfigMap", self._name, self._namespace)
        data = (found or {}).get("data") or {}
        self.kinds = frozenset((kind[0], kind[1]) for kind in json.loads(data.get("kinds", "[]")))
        self.namespaces = frozenset(json.loads(data.get("namespaces", "[]")))

    async def add(self, kinds: Iterable[tuple[str, str]], namespaces: Iterable[str]) -> None:
        """Remember kinds and namespaces that are about to be used."""
        more, places = self.kinds | frozenset(kinds), self.namespaces | frozenset(namespaces)
        if more == self.kinds and places == self.namespaces:
            return
        await self._cluster.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": self._name,
                    "namespace": self._namespace,
                    "labels": labels(self._platform, PLATFORM),
                },
                "data": {"kinds": json.dumps(sorted(more)), "namespaces": json.dumps(sorted(places))},
            },
            force=True,
        )
        self.kinds, self.namespaces = more, places

    def mine(self, obj: Object) -> bool:
        """Whether an object is the record itself."""
        return bool(obj["kind"] == "ConfigMap" and obj["metadata"]["name"] == self._name)

    # --- revisions ----------------------------------------------------------------------------------------

    async def revisions(self, unit: str) -> list[Revision]:
        """The revisions of a unit, newest first."""
        return sorted(
            (_revision(obj) for obj in await self._listed(unit)), key=lambda found: found.number, reverse=True
        )

    async def newest(self) -> dict[str, Revision]:
        """The newest revision of every unit that was ever applied."""
        found: dict[str, Revision] = {}
        for obj in await self._listed(""):
            name, revision = obj["metadata"]["labels"][COMPONENT], _revision(obj)
            if name not in found or found[name].number < revision.number:
                found[name] = revision
        return found

    async def keep(self, unit: Unit) -> None:
        """Write a unit down as it is now, unless that is what is written already."""
        there = await self._listed(unit.name)
        there.sort(key=lambda obj: int(obj["revision"]))
        objects = list(unit)
        if there and list(_revision(there[-1]).objects) == objects:
            return
        number = int(there[-1]["revision"]) + 1 if there else 1
        try:
            await self._cluster.create(
                {
                    "apiVersion": "apps/v1",
                    "kind": "ControllerRevision",
                    "metadata": {
                        "name": f"{self._platform}-{unit.name.replace('_', '-')}-{number}",
                        "namespace": self._namespace,
                        "labels": labels(self._platform, unit.name),
                    },
                    "revision": number,
                    "data": {"objects": objects},
                }
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        for old in there[: max(0, len(there) + 1 - KEEP)]:
            await self._cluster.delete(old, propagation="Background")

    async def _listed(self, unit: str) -> list[Object]:
        wanted = {PART_OF: self._platform, MANAGED_BY: MANAGER, COMPONENT: unit}
        found = await self._cluster.list(
            "apps/v1", "ControllerRevision", namespace=self._namespace, labels=wanted
        )
        # Those of a StatefulSet have its pods' labels, and it as their owner.
        return [obj for obj in found if not obj["metadata"].get("ownerReferences")]


def _revision(obj: Object) -> Revision:
    objects = (obj.get("data") or {}).get("objects") or []
    return Revision(int(obj["revision"]), str(obj["metadata"].get("creationTimestamp", "")), tuple(objects))
