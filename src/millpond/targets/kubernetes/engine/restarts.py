"""Restarts: an annotation of the pod template, by a field manager of its own that applies leave alone."""

from __future__ import annotations

from datetime import UTC, datetime

from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import Object

RESTARTED = "millpond.dev/restarted-at"
_MANAGER = "millpond-restart"


async def restart(cluster: Cluster, workload: Object) -> Object:
    """Replace a workload's pods one after another, as ``kubectl rollout restart`` does."""
    meta = workload["metadata"]
    return await cluster.apply(
        {
            "apiVersion": workload["apiVersion"],
            "kind": workload["kind"],
            "metadata": {"name": meta["name"], "namespace": meta["namespace"]},
            "spec": {"template": {"metadata": {"annotations": {RESTARTED: datetime.now(UTC).isoformat()}}}},
        },
        force=True,
        manager=_MANAGER,
    )
