"""What is remembered of a deployment: the controller's record, kept in a ConfigMap of the cluster."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from millpond.serving.cluster.context import Context
from millpond.serving.cluster.objects import DEPLOYMENT, PLATFORM, labels
from millpond.serving.controller.store import Record
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names

_KEY = "record.json"


class Memory:
    """The records of a platform's deployments.

    A record is written only over the version that was read: of two commands at once, one is refused.
    """

    def __init__(self, cluster: Cluster, context: Context) -> None:
        self._cluster = cluster
        self._context = context
        self._versions: dict[str, str] = {}

    async def load(self, name: str) -> Record | None:
        """The record of a deployment."""
        found = await self._cluster.get("v1", "ConfigMap", self._name(name), self._context.namespace)
        return None if found is None else self._read(found)

    async def every(self) -> list[Record]:
        """All records, by name."""
        wanted = {PLATFORM: self._context.platform, DEPLOYMENT: ""}
        found = await self._cluster.list("v1", "ConfigMap", namespace=self._context.namespace, labels=wanted)
        records = [self._read(item) for item in found if _KEY in (item.get("data") or {})]
        return sorted(records, key=lambda record: record.name)

    async def save(self, record: Record) -> None:
        """Write a record.

        Raises:
            ApiError: somebody else has written it meanwhile.
        """
        found = self._object(record)
        version = self._versions.get(record.name)
        if version is not None:
            found["metadata"]["resourceVersion"] = version
        applied = await self._cluster.apply(found)
        self._versions[record.name] = str(applied["metadata"].get("resourceVersion", ""))

    async def forget(self, record: Record) -> None:
        """Remove a record."""
        await self._cluster.delete(self._object(record), propagation="Background")
        self._versions.pop(record.name, None)

    def _object(self, record: Record) -> Object:
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._name(record.name),
                "namespace": self._context.namespace,
                "labels": labels(self._context, record.name),
            },
            "data": {_KEY: json.dumps(asdict(record), indent=1, sort_keys=True)},
        }

    def _name(self, name: str) -> str:
        return names.resource("deployment", name)

    def _read(self, found: Mapping[str, Any]) -> Record:
        record = Record.from_json(json.loads(found["data"][_KEY]))
        self._versions[record.name] = str(found["metadata"].get("resourceVersion", ""))
        return record
