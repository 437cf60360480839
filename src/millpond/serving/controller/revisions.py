"""Which revision a document means, known or new, and what its processes are started with."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from millpond.serving.annotations import PREFIX
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.status import now
from millpond.serving.controller.store import Record, Revision
from millpond.serving.inferenceservice import InferenceService

_TRAFFIC = (
    "canaryTrafficPercent", "logger", "maxReplicas", "minReplicas", "scaleMetric", "scaleTarget",
    "containerConcurrency",
)  # fmt: skip
_REVISION = f"{PREFIX}revision"


def model_part(document: dict[str, Any]) -> dict[str, Any]:
    """What of a document's spec makes a revision: all but how traffic moves, scales and is noted."""
    spec = {key: value for key, value in document["spec"].items() if key != "predictor"}
    predictor = document["spec"]["predictor"]
    return {**spec, "predictor": {key: value for key, value in predictor.items() if key not in _TRAFFIC}}


def meant(record: Record, document: dict[str, Any]) -> str | None:
    """The revision that a new document means, where that is known without looking the model up again.

    That is one that it names, or the newest when only its traffic changes. The same document once
    more means a new look: an alias may have moved.
    """
    named = document["metadata"].get("annotations", {}).get(_REVISION)
    if named is not None and record.revision(named) is not None:
        return str(named)
    settled = record.observed == record.generation and record.failure is None
    if not settled or not record.document or document == record.document:
        return None
    if model_part(document) == model_part(record.document):
        return record.candidate or record.active
    return None


def settings_of(service: InferenceService) -> dict[str, Any]:
    """What a revision's processes are started with, as far as the document says."""
    predictor = service.spec.predictor
    model = predictor.model
    found: dict[str, Any] = {
        "format": model.modelFormat.name,
        "env": {variable.name: variable.value for variable in model.env},
        "grpc": model.protocolVersion == "grpc-v2",
    }
    for part in (service.spec.transformer, service.spec.explainer):
        if part is not None:
            found["env"] |= {variable.name: variable.value for variable in part.containers[0].env}
    if service.spec.transformer is not None:
        found["transformer"] = service.spec.transformer.target
    if service.spec.explainer is not None:
        found["explainer"] = service.spec.explainer.target
    if predictor.batcher is not None:
        found["batch"] = predictor.batcher.maxBatchSize
        found["batch_wait"] = predictor.batcher.maxLatency
    if predictor.timeout is not None:
        found["timeout"] = predictor.timeout
    if model.image is not None:
        found["image"] = model.image
    if model.resources.memory:
        found["memory"] = model.resources.memory
    return found


def revision_of(record: Record, service: InferenceService, artifact: Artifact) -> Revision:
    """The kept revision that is the same in everything, else a new one, not in the record yet."""
    settings = settings_of(service)
    key = _key([artifact.digest, artifact.version, artifact.run_id, settings])
    same = [revision for revision in record.revisions if revision.key == key]
    if same:
        return next((revision for revision in same if revision in record.live), same[-1])
    record.counter += 1
    return Revision(
        name=f"{record.name}-{record.counter:05d}",
        number=record.counter,
        key=key,
        uri=artifact.uri,
        digest=artifact.digest,
        created=now(),
        settings=settings,
        spec=model_part(service.document()),
        version=artifact.version,
        run_id=artifact.run_id,
        identity=artifact.identity,
    )


def _key(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
