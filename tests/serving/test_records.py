"""What the controller remembers, and which revision a new document means."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from millpond.serving import edits
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.revisions import meant, revision_of
from millpond.serving.controller.store import Record, Replica, Store
from millpond.serving.inferenceservice import InferenceService

OLD = {
    "name": "iris", "namespace": "default", "document": edits.new("iris", "models:/iris/1"), "uid": "u",
    "created": "2026-11-01T00:00:00Z", "generation": 1, "observed": 1, "counter": 1, "active": "iris-00001",
    "failure": None, "conditions": {},
    "revisions": [{
        "name": "iris-00001", "number": 1, "key": "k", "port": 20000, "uri": "models:/iris/1", "digest": "d",
        "created": "2026-11-01T00:00:00Z", "env": {"OMP_NUM_THREADS": "1"}, "version": "1", "ready": None,
    }],
}  # fmt: skip


def record(document: dict[str, Any]) -> Record:
    found = Record("iris", "default", document, "u", "now", generation=1, observed=1)
    revision = revision_of(found, InferenceService.model_validate(document), Artifact("models:/iris/1", "a"))
    found.revisions.append(revision)
    found.active = revision.name
    return found


def test_a_record_of_the_first_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "iris.json").write_text(json.dumps(OLD))
    found = Store(tmp_path).load()["iris"]
    assert found.revisions[0].replicas == [Replica(0, 20000)]
    assert found.revisions[0].settings == {"format": "mlflow", "env": {"OMP_NUM_THREADS": "1"}}
    Store(tmp_path).save(found)
    assert asdict(Store(tmp_path).load()["iris"]) == asdict(found)


def test_only_the_same_model_with_other_traffic_is_known_without_a_look() -> None:
    document = edits.new("iris", "models:/iris@champion")
    found = record(document)
    assert meant(found, edits.canary(document, 10)) == "iris-00001"
    assert meant(found, document) is None, "applied again, an alias is looked up again"
    assert meant(found, edits.with_model(document, "models:/iris/2")) is None
    found.failure = {"reason": "ModelLoadFailed"}
    assert meant(found, edits.canary(document, 10)) is None
    pinned = edits.with_model(document, "models:/iris/2")
    pinned["metadata"]["annotations"] = {"serving.millpond.dev/revision": "iris-00001"}
    assert meant(found, pinned) == "iris-00001"


def test_the_same_files_with_the_same_settings_are_the_same_revision() -> None:
    document = edits.new("iris", "models:/iris/1")
    found = record(document)
    same = revision_of(found, InferenceService.model_validate(document), Artifact("models:/iris/1", "a"))
    assert same is found.revisions[0]
    document["spec"]["predictor"]["timeout"] = 5
    other = revision_of(found, InferenceService.model_validate(document), Artifact("models:/iris/1", "a"))
    assert (other.name, other.settings["timeout"]) == ("iris-00002", 5)
