"""Taking objects away, and waiting until they are gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.engine import kinds

_WITH_PODS = kinds.WORKLOADS | {"Job", "CronJob", "ReplicaSet", "Pod"}
_PATIENCE = 180.0
"""Seconds for pods that end in order, volumes and finalizers."""


async def remove(
    cluster: Cluster,
    objects: Iterable[Object],
    *,
    propagation: str = "Foreground",
    timeout: float = _PATIENCE,
) -> None:
    """Delete objects, each only if it is still the one that was seen, and wait until they are gone.

    Raises:
        MillpondError: one of them stays, which is what an unanswered finalizer does.
    """
    found = list(objects)
    await asyncio.gather(
        *(
            cluster.delete(
                obj,
                # Only what has pods is worth the collector's wait, which can be long where kinds come and go.
                propagation=propagation if obj["kind"] in _WITH_PODS else "Background",
                uid=obj["metadata"].get("uid"),
            )
            for obj in found
        )
    )
    await gone(cluster, found, timeout)


async def gone(cluster: Cluster, objects: list[Object], timeout: float = _PATIENCE) -> None:
    """Wait until objects are gone.

    Raises:
        MillpondError: one of them stays.
    """
    end = time.monotonic() + timeout
    left = objects
    pause = 0.05
    while left:
        live = await asyncio.gather(
            *(
                cluster.get(
                    obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace")
                )
                for obj in left
            )
        )
        left = [
            there
            for obj, there in zip(left, live, strict=True)
            if there is not None and there["metadata"].get("uid") == obj["metadata"].get("uid")
        ]
        if not left:
            return
        if time.monotonic() > end:
            obj = left[0]
            told = f"{obj['kind']} {obj['metadata']['name']} is still being deleted after {timeout:.0f} s"
            holders = obj["metadata"].get("finalizers") or []
            hint = (
                f"it waits for {', '.join(holders)}" if holders else "kubectl describe says what it waits for"
            )
            raise MillpondError(told, hint=hint)
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 1.0)
