"""When an object is ready, read from what the API says of it, as ``kubectl wait`` reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from millpond.targets.kubernetes.bundle import Object


@dataclass(frozen=True)
class Gate:
    """Whether an object is ready.

    Args:
        ready: whether it is.
        message: what it waits for, or why it failed.
        failed: whether it will not become ready by waiting.
    """

    ready: bool
    message: str = ""
    failed: bool = False


_OPEN = Gate(True)


def gate(obj: Object) -> Gate:
    """Whether an object is ready now."""
    status = obj.get("status") or {}
    match obj["kind"]:
        case "Deployment":
            return _deployment(obj, status)
        case "StatefulSet":
            return _stateful_set(obj, status)
        case "DaemonSet":
            wanted = status.get("desiredNumberScheduled", 0)
            return _counted(obj, status, wanted, "updatedNumberScheduled", "numberAvailable")
        case "Job":
            return _job(status)
        case "PersistentVolumeClaim":
            # A claim of a class that waits for its first pod is bound only then; its pod's own gate tells.
            return Gate(status.get("phase") != "Lost", "its volume is lost", status.get("phase") == "Lost")
        case "CustomResourceDefinition":
            return _condition(status, "Established", required=True)
        case "HTTPRoute" | "GRPCRoute":
            return _route(status)
        case "Ingress" | "Gateway" | "Service" | "Pod" | "APIService":
            return _OPEN
    return _condition(status, "Ready", required=False, generation=obj["metadata"].get("generation"))


def replicas(obj: Object) -> int:
    """How many pods a workload wants."""
    found = (obj.get("spec") or {}).get("replicas")
    return 1 if found is None else int(found)


def _deployment(obj: Object, status: dict[str, Any]) -> Gate:
    for found in status.get("conditions") or []:
        if found["type"] == "Progressing" and found.get("reason") == "ProgressDeadlineExceeded":
            return Gate(False, "its pods did not become ready in time", failed=_seen(obj, status))
    wanted = replicas(obj)
    found_gate = _counted(obj, status, wanted, "updatedReplicas", "availableReplicas")
    if found_gate.ready and status.get("replicas", 0) > wanted:
        return Gate(False, "old pods are ending")
    return found_gate


def _stateful_set(obj: Object, status: dict[str, Any]) -> Gate:
    wanted = replicas(obj)
    strategy = ((obj.get("spec") or {}).get("updateStrategy") or {}).get("type", "RollingUpdate")
    if strategy == "OnDelete":
        return _counted(obj, status, wanted, "readyReplicas", "readyReplicas")
    found = _counted(obj, status, wanted, "updatedReplicas", "readyReplicas")
    if found.ready and status.get("currentRevision") != status.get("updateRevision"):
        return Gate(False, "its pods are being replaced")
    return found


def _counted(obj: Object, status: dict[str, Any], wanted: int, updated: str, ready: str) -> Gate:
    if not _seen(obj, status):
        return Gate(False, "the cluster has not looked at it yet")
    if status.get(updated, 0) < wanted:
        return Gate(False, f"{status.get(updated, 0)} of {wanted} pods are up to date")
    if status.get(ready, 0) < wanted:
        return Gate(False, f"{status.get(ready, 0)} of {wanted} pods are ready")
    return _OPEN


def _seen(obj: Object, status: dict[str, Any]) -> bool:
    return bool(status.get("observedGeneration", 0) >= obj["metadata"].get("generation", 0))


def _job(status: dict[str, Any]) -> Gate:
    for found in status.get("conditions") or []:
        if found.get("status") != "True":
            continue
        if found["type"] in ("Complete", "SuccessCriteriaMet"):
            return _OPEN
        if found["type"] in ("Failed", "FailureTarget"):
            why = {
                "BackoffLimitExceeded": "it failed as often as it may",
                "DeadlineExceeded": "it took longer than it may",
            }.get(found.get("reason", ""), found.get("message") or "it failed")
            return Gate(False, why, failed=True)
    return Gate(False, "it is running")


def _route(status: dict[str, Any]) -> Gate:
    """A route that no controller has answered for is let pass: there may be none that answers."""
    for parent in status.get("parents") or []:
        for found in parent.get("conditions") or []:
            if found["type"] in ("Accepted", "ResolvedRefs") and found.get("status") == "False":
                told = found.get("message") or found.get("reason") or "no reason is given"
                return Gate(False, f"its gateway does not take it: {told}")
    return _OPEN


def _condition(status: dict[str, Any], name: str, *, required: bool, generation: int | None = None) -> Gate:
    seen = status.get("observedGeneration")
    if seen is not None and generation is not None and seen < generation:
        return Gate(False, "its operator has not looked at it yet")
    for found in status.get("conditions") or []:
        if found.get("type") == name:
            if found.get("status") == "True":
                return _OPEN
            told = found.get("message") or found.get("reason") or ""
            return Gate(False, " ".join(f"it is not {name.lower()} yet: {told}".rstrip(": ").split()))
    return Gate(not required, f"it is not {name.lower()} yet" if required else "")
