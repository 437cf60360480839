"""What Helm keeps of a release: a Secret for each revision, with labels; ours say what it was made of.

Helm's storage is gzip in base64 in the Secret's data; see https://helm.sh/docs/topics/advanced/#storage-backends
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import COMPONENT, Object, Release
from millpond.targets.kubernetes.charts import archive

PLATFORM = "millpond.dev/platform"
"""Whose a release is. Helm keeps the labels that it is given on its own Secrets, not on a chart's objects."""

STATE = "millpond.dev/state"
"""A hash of the chart and the values of a revision."""

GOOD = ("deployed", "superseded")
_TOLD = 4
_MISSING = object()


@dataclass(frozen=True)
class Revision:
    """One revision of a release.

    Args:
        name: the release's name.
        namespace: where it is.
        number: Helm's number, from 1.
        status: ``deployed``, ``superseded``, ``failed``, ``pending-upgrade``, …
        platform: whose it is; empty when Millpond did not install it.
        unit: the unit that it belongs to.
        state: the hash of what it was made of.
        since: seconds since the epoch.
        secret: the Secret as it is.
    """

    name: str
    namespace: str
    number: int
    status: str
    platform: str
    unit: str
    state: str
    since: float
    secret: Object

    @property
    def pending(self) -> bool:
        """Whether an operation has begun and not ended."""
        return self.status.startswith("pending") or self.status == "uninstalling"

    @property
    def age(self) -> float:
        """Seconds since the revision began."""
        return max(0.0, time.time() - self.since)

    def release(self) -> Mapping[str, Any]:
        """What Helm keeps of it; empty when it cannot be read."""
        try:
            packed = base64.b64decode(base64.b64decode(self.secret["data"]["release"]))
            found = json.loads(gzip.decompress(packed))
        except (KeyError, ValueError, OSError, EOFError, binascii.Error):
            return {}
        return found if isinstance(found, dict) else {}


async def listed(cluster: Cluster, namespace: str, labels: Mapping[str, str]) -> list[Revision]:
    """The revisions in a namespace, ``*`` for all, with these labels; those of a namespace that is not there
    are none. Who may not see all namespaces sees those of the cluster's own.
    """
    wanted = {"owner": "helm", **labels}
    try:
        found = await cluster.list("v1", "Secret", namespace=namespace, labels=wanted)
    except ApiError as error:
        if error.code != 403 or namespace != "*":
            raise
        found = await cluster.list("v1", "Secret", namespace=cluster.namespace, labels=wanted)
    return [_revision(secret) for secret in found]


def _revision(secret: Object) -> Revision:
    metadata = secret["metadata"]
    labels = metadata["labels"]
    return Revision(
        name=labels["name"],
        namespace=metadata["namespace"],
        number=int(labels["version"]),
        status=labels["status"],
        platform=labels.get(PLATFORM, ""),
        unit=labels.get(COMPONENT, labels["name"]),
        state=labels.get(STATE, ""),
        since=float(labels.get("modifiedAt") or labels.get("createdAt") or 0),
        secret=secret,
    )


def state(release: Release) -> str:
    """A hash of what a release is made of: its chart and its values."""
    chart = release.chart
    made = [chart.name, chart.version, chart.digest, archive.identity(chart), release.values]
    return hashlib.sha256(json.dumps(made, sort_keys=True, default=str).encode()).hexdigest()[:32]


def difference(there: Revision, release: Release) -> str:
    """What is other than what is installed, in words."""
    kept = there.release()
    if not kept:
        return f"the release {release.name} is made of something else"
    told = []
    version = (kept.get("chart") or {}).get("metadata", {}).get("version")
    if version != release.chart.version:
        told.append(f"chart {release.chart.name} {version} becomes {release.chart.version}")
    paths = list(_paths(kept.get("config") or {}, release.values))
    if paths:
        more = f" and {len(paths) - _TOLD} more" if len(paths) > _TOLD else ""
        told.append(f"values: {', '.join(paths[:_TOLD])}{more}")
    return "; ".join(told) or f"chart {release.chart.name} has other files"


def _paths(kept: Any, wished: Any, at: str = "") -> list[str]:
    """Where two values differ, as dotted paths."""
    if isinstance(kept, Mapping) and isinstance(wished, Mapping):
        return [
            path
            for key in sorted({*kept, *wished}, key=str)
            for path in _paths(
                kept.get(key, _MISSING), wished.get(key, _MISSING), f"{at}.{key}" if at else str(key)
            )
        ]
    return [] if kept == wished else [at]
