"""A deployment as the API shows it: the document, and the status as KServe writes it.

``status.revisions`` is Millpond's own: per revision its processes, model, version, times and share of the
traffic; ``status.rollout`` says how far an automatic rollout is.
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
    newest = record.revision(record.candidate) or active
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
    if active is not None and newest is not None:
        predictor["latestReadyRevision"] = newest.name
        predictor["latestRolledoutRevision"] = active.name
        if record.previous is not None and record.revision(record.previous) is not None:
            predictor["previousRolledoutRevision"] = record.previous
        predictor["traffic"] = [
            {
                "revisionName": revision.name,
                "percent": percent_of(record, revision),
                "latestRevision": revision is newest,
            }
            for revision in record.live
        ]
        if active.replicas:
            address = {"url": f"http://{HOST}:{active.replicas[0].port}"}
            predictor["address"] = address
            status["address"] = address
        if url is not None:
            predictor["url"] = status["url"] = url
    if record.rollout is not None:
        status["rollout"] = dict(record.rollout)
    status["revisions"] = [_revision(record, revision, states) for revision in record.revisions]
    return status


def percent_of(record: Record, revision: Revision) -> int:
    """The share of the requests that a revision is meant to have."""
    if revision.name == record.candidate:
        return record.percent
    return 100 - (record.percent if record.candidate else 0) if revision.name == record.active else 0


def _revision(record: Record, revision: Revision, states: dict[str, str]) -> dict[str, Any]:
    found = [states.get(service, "stopped") for service in revision.services]
    mirrored = record.intentions.mirror if revision.name == record.candidate else 0
    return {
        "name": revision.name,
        "storageUri": revision.uri,
        "modelVersion": revision.version,
        "runId": revision.run_id,
        "digest": revision.digest,
        "format": revision.settings.get("format", "mlflow"),
        "port": revision.replicas[0].port if revision.replicas else None,
        "replicas": [
            {"port": replica.port, "state": states.get(revision.service(replica), "stopped")}
            | ({"grpcPort": replica.grpc_port} if replica.grpc_port else {})
            for replica in revision.replicas
        ],
        "environment": revision.environment,
        "created": revision.created,
        "ready": revision.ready,
        "state": "ready" if "ready" in found else (found[0] if found else "stopped"),
        "traffic": percent_of(record, revision),
        "mirrored": mirrored,
        "spec": revision.spec,
    }


def _model_status(record: Record, active: Revision | None) -> dict[str, Any]:
    behind = record.observed < record.generation
    found: dict[str, Any] = {
        "transitionStatus": "InProgress" if behind else "UpToDate",
        "states": {
            "activeModelState": "Loaded" if active is not None else "",
            "targetModelState": "Loading" if behind else "Loaded",
        },
        "copies": {"totalCopies": len(active.replicas) if active is not None else 0, "failedCopies": 0},
    }
    if record.failure is not None and not behind:
        found["transitionStatus"] = (
            "InvalidSpec" if record.failure["reason"] == "InvalidPredictorSpec" else "BlockedByFailedLoad"
        )
        found["states"]["targetModelState"] = "FailedToLoad"
        found["copies"]["failedCopies"] = 1
        found["lastFailureInfo"] = dict(record.failure)
    return found
