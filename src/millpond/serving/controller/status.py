"""A deployment as the API shows it: the document, and the status as KServe writes it.

``status.revisions`` is Millpond's own: per revision its port, model, version and times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from millpond.serving.controller.processes import HOST
from millpond.serving.controller.store import Record, Revision
from millpond.serving.inferenceservice import RUN_ANNOTATION, VERSION_ANNOTATION

CONDITIONS = ("PredictorReady", "IngressReady", "LatestDeploymentReady", "Ready")


def now() -> str:
    """The time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def set_conditions(record: Record, **found: tuple[bool | None, str, str]) -> None:
    """Note conditions by type as (holds, reason, message); the time changes only with the status.

    ``Ready`` follows from the predictor and the ingress.
    """
    for kind, (holds, reason, message) in found.items():
        _note(record, kind, holds, reason, message)
    needed = [record.conditions.get(kind, {}).get("status") for kind in ("PredictorReady", "IngressReady")]
    holds = True if needed == ["True", "True"] else (False if "False" in needed else None)
    _note(record, "Ready", holds, "", "")


def _note(record: Record, kind: str, holds: bool | None, reason: str, message: str) -> None:
    status = "Unknown" if holds is None else str(holds)
    before = record.conditions.get(kind, {})
    moved = before["lastTransitionTime"] if before.get("status") == status else now()
    condition = {"type": kind, "status": status, "lastTransitionTime": moved}
    if reason:
        condition["reason"] = reason
    if message:
        condition["message"] = message
    record.conditions[kind] = condition


def shown(record: Record, url: str | None, states: dict[str, str]) -> dict[str, Any]:
    """The deployment with its status.

    Args:
        record: what is known of it.
        url: its public URL, when it is routed.
        states: the supervisor's states of the processes, by service.
    """
    active = record.revision(record.active)
    document = record.document
    annotations = dict(document["metadata"].get("annotations", {}))
    if active is not None:
        for key, value in ((VERSION_ANNOTATION, active.version), (RUN_ANNOTATION, active.run_id)):
            if value:
                annotations[key] = value
    metadata = {
        **document["metadata"],
        "uid": record.uid,
        "generation": record.generation,
        "resourceVersion": str(record.generation),
        "creationTimestamp": record.created,
    }
    if annotations:
        metadata["annotations"] = annotations
    return {**document, "metadata": metadata, "status": _status(record, active, url, states)}


def _status(
    record: Record, active: Revision | None, url: str | None, states: dict[str, str]
) -> dict[str, Any]:
    latest = record.revisions[-1] if record.revisions else None
    predictor: dict[str, Any] = {}
    status: dict[str, Any] = {
        "observedGeneration": record.observed,
        "conditions": [record.conditions[kind] for kind in CONDITIONS if kind in record.conditions],
        "components": {"predictor": predictor},
        "modelStatus": _model_status(record, active),
        "deploymentMode": "Process",
        "servingRuntimeName": "millpond",
    }
    if latest is not None:
        predictor["latestCreatedRevision"] = latest.name
    if active is not None:
        address = {"url": f"http://{HOST}:{active.port}"}
        predictor["latestReadyRevision"] = active.name
        predictor["traffic"] = [{"revisionName": active.name, "percent": 100, "latestRevision": True}]
        predictor["address"] = address
        status["address"] = address
        if url is not None:
            predictor["url"] = status["url"] = url
    status["revisions"] = [
        {
            "name": revision.name,
            "storageUri": revision.uri,
            "modelVersion": revision.version,
            "runId": revision.run_id,
            "digest": revision.digest,
            "port": revision.port,
            "created": revision.created,
            "ready": revision.ready,
            "state": states.get(revision.service, "stopped"),
            "traffic": 100 if revision is active else 0,
        }
        for revision in record.revisions
    ]
    return status


def _model_status(record: Record, active: Revision | None) -> dict[str, Any]:
    behind = record.observed < record.generation
    found: dict[str, Any] = {
        "transitionStatus": "InProgress" if behind else "UpToDate",
        "states": {
            "activeModelState": "Loaded" if active is not None else "",
            "targetModelState": "Loading" if behind else "Loaded",
        },
        "copies": {"totalCopies": 1 if active is not None else 0, "failedCopies": 0},
    }
    if record.failure is not None and not behind:
        found["transitionStatus"] = (
            "InvalidSpec" if record.failure["reason"] == "InvalidPredictorSpec" else "BlockedByFailedLoad"
        )
        found["states"]["targetModelState"] = "FailedToLoad"
        found["copies"]["failedCopies"] = 1
        found["lastFailureInfo"] = dict(record.failure)
    return found
