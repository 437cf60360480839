"""What runs, in the local target's words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from millpond.targets.kubernetes.bundle import COMPONENT, Object
from millpond.targets.kubernetes.engine import kinds
from millpond.targets.kubernetes.engine.diagnosis import diagnose
from millpond.targets.kubernetes.engine.gates import gate, replicas

_WORST = ("failed", "backoff", "unhealthy", "stopping", "stopped", "waiting", "starting", "ready")


@dataclass(frozen=True)
class PodStatus:
    """One pod.

    Args:
        name: its name.
        state: as a process's on the local target.
        containers: its containers' names.
        restarts: how often one of them was started again.
        node: where it runs.
        since: seconds since the epoch.
    """

    name: str
    state: str
    containers: tuple[str, ...]
    restarts: int
    node: str
    since: float | None

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class UnitStatus:
    """One unit.

    Args:
        name: the node's name.
        state: ready, starting, waiting, unhealthy, backoff, failed, stopping or stopped.
        since: seconds since the epoch; None when it never ran.
        message: why it is not ready, if it is not.
        pods: its pods.
    """

    name: str
    state: str
    since: float | None
    message: str
    pods: tuple[PodStatus, ...]


def unit_status(
    name: str,
    wished: Sequence[Object],
    live: Sequence[Object],
    pods: Sequence[Object],
    events: Sequence[Object],
    claims: Sequence[Object],
) -> UnitStatus:
    """The status of a unit.

    Args:
        name: its name.
        wished: its rendered objects.
        live: its live objects.
        pods: its pods.
        events: those of the namespace, oldest first.
        claims: its PersistentVolumeClaims.
    """
    mine = tuple(pod_status(pod) for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"])))
    there = {(obj["kind"], obj["metadata"]["name"]): obj for obj in live}
    gated = [obj for obj in wished if obj["kind"] in kinds.GATED or _conditions(there, obj)]
    workloads = [obj for obj in wished if obj["kind"] in kinds.WORKLOADS]
    missing = [obj for obj in workloads if (obj["kind"], obj["metadata"]["name"]) not in there]
    if (workloads and len(missing) == len(workloads)) or (wished and not live):
        state = "stopping" if mine else "stopped"
        return UnitStatus(name, state, None, "", mine)
    if missing:
        told = f"{missing[0]['kind']} {missing[0]['metadata']['name']} is not there"
        return UnitStatus(name, "stopped", None, told, mine)
    waits = []
    for obj in gated:
        found = there.get((obj["kind"], obj["metadata"]["name"]))
        if found is not None and not (checked := gate(found)).ready:
            waits.append((found, checked))
    since = max((pod.since for pod in mine if pod.since), default=None)
    if not waits:
        return UnitStatus(name, "ready", since, "", mine)
    cause = diagnose([obj for obj, _ in waits], pods, events, claims)
    message = (
        cause.message
        if cause
        else f"{waits[0][0]['kind']} {waits[0][0]['metadata']['name']}: {waits[0][1].message}"
    )
    states = [pod.state for pod in mine if pod.state not in ("ready", "stopping")]
    if any(found.failed for _, found in waits):
        states.append("failed")
    if cause and cause.patience is not None and not states:
        states.append("backoff")
    if workloads and all(replicas(there[o["kind"], o["metadata"]["name"]]) == 0 for o in workloads):
        return UnitStatus(name, "stopped", since, "it is scaled to no pods", mine)
    state = min(states, key=_WORST.index, default="starting")
    return UnitStatus(name, state, since, message, mine)


def release_status(status: UnitStatus, installed: bool, pods: Sequence[Object]) -> UnitStatus:
    """The status of a unit that is a chart: that of its own objects, and of its release.

    Args:
        status: that of its own objects.
        installed: whether its release is.
        pods: the release's.
    """
    if not installed:
        return replace(status, state="stopped", message="")
    mine = tuple(pod_status(pod) for pod in pods)
    # What has succeeded was a Job of the chart's.
    worst = min(
        (pod for pod in mine if pod.state != "stopped"), key=lambda pod: _WORST.index(pod.state), default=None
    )
    state, message = status.state, status.message
    if state == "stopped":
        state, message = "ready", ""
    if state == "ready" and worst is not None and worst.state not in ("ready", "stopping"):
        cause = diagnose([], pods, [])
        state, message = worst.state, cause.message if cause else f"Pod {worst.name} is {worst.state}"
    since = max((pod.since for pod in mine if pod.since), default=status.since)
    return UnitStatus(status.name, state, since, message, (*status.pods, *mine))


def pod_status(pod: Object) -> PodStatus:
    """The status of a pod."""
    status = pod.get("status") or {}
    found = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    reasons = [((c.get("state") or {}).get("waiting") or {}).get("reason", "") for c in found]
    ready = any(c["type"] == "Ready" and c.get("status") == "True" for c in status.get("conditions") or [])
    restarts = sum(int(c.get("restartCount", 0)) for c in found)
    if pod["metadata"].get("deletionTimestamp"):
        state = "stopping"
    elif status.get("phase") == "Failed":
        state = "failed"
    elif status.get("phase") == "Succeeded":
        state = "stopped"
    elif any(reason.endswith(("BackOff", "Error")) or reason == "ErrImageNeverPull" for reason in reasons):
        state = "backoff"
    elif ready:
        state = "ready"
    elif status.get("phase") == "Pending" and not found:
        state = "waiting"
    else:
        state = "unhealthy" if restarts else "starting"
    begun = status.get("startTime")
    return PodStatus(
        pod["metadata"]["name"],
        state,
        tuple(c["name"] for c in (pod.get("spec") or {}).get("containers") or []),
        restarts,
        str((pod.get("spec") or {}).get("nodeName") or ""),
        datetime.fromisoformat(begun).timestamp() if begun else None,
    )


def belongs(obj: Object, name: str) -> bool:
    """Whether an object is a unit's, by its labels."""
    labels = obj["metadata"].get("labels") or {}
    return name in (labels.get(COMPONENT), labels.get("app.kubernetes.io/instance"))


def _conditions(there: dict[tuple[str, str], Object], obj: Object) -> bool:
    found = there.get((obj["kind"], obj["metadata"]["name"]))
    return bool(found and (found.get("status") or {}).get("conditions")) and obj["kind"] != "Namespace"
