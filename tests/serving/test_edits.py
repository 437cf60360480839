"""What deploy, traffic, promote and rollback write: documents that read back as they were meant."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.annotations import Rollout
from millpond.serving.inferenceservice import InferenceService, read


def understood(document: dict[str, Any]) -> InferenceService:
    return read(json.dumps(document), "document")


def deployed(document: dict[str, Any], *, candidate: bool) -> dict[str, Any]:
    """As the controller tells it, with a second revision beside or behind the first."""
    spec = edits.new("iris", "models:/iris/1")["spec"]
    predictor: dict[str, Any] = {
        "latestReadyRevision": "iris-00002",
        "latestRolledoutRevision": "iris-00001" if candidate else "iris-00002",
        "traffic": [{"revisionName": "iris-00002"}, {"revisionName": "iris-00001"}][: 2 if candidate else 1],
    }
    if not candidate:
        predictor["previousRolledoutRevision"] = "iris-00001"
    revisions = [
        {"name": "iris-00001", "storageUri": "models:/iris/1", "spec": spec},
        {"name": "iris-00002", "storageUri": "models:/iris/2", "spec": document["spec"]},
    ]
    told = {**document["metadata"], "uid": "u", "generation": 4}
    return {
        **document,
        "metadata": told,
        "status": {"components": {"predictor": predictor}, "revisions": revisions},
    }


def test_ways_to_put_a_second_revision_beside_the_first() -> None:
    one = edits.with_model(edits.new("iris", "models:/iris@champion"), "models:/iris/2")
    assert understood(one).spec.predictor.model.storageUri == "models:/iris/2"

    canary = understood(edits.canary(one, 10, sticky="cookie", header="x-beta"))
    assert canary.spec.predictor.canaryTrafficPercent == 10
    assert canary.intentions.sticky is not None and canary.intentions.header == ("x-beta", None)

    shadow = understood(edits.shadow(edits.canary(one, 10, sticky="cookie")))
    assert (shadow.spec.predictor.canaryTrafficPercent, shadow.intentions.mirror) == (0, 100)
    assert shadow.intentions.sticky is None

    ab = understood(edits.experiment(one, "prices"))
    assert (ab.spec.predictor.canaryTrafficPercent, ab.intentions.experiment) == (50, "prices")

    plan = Rollout(steps=(5, 50, 100), interval=30.0)
    rollout = understood(edits.rollout(one, plan))
    assert (rollout.spec.predictor.canaryTrafficPercent, rollout.intentions.rollout) == (5, plan)
    assert understood(edits.alone(edits.rollout(one, plan))) == understood(one)


def test_promotion_and_return_from_a_canary() -> None:
    document = edits.canary(edits.new("iris", "models:/iris@champion"), 10, sticky="cookie")
    found = deployed(document, candidate=True)
    assert edits.with_traffic(found, 30)["spec"]["predictor"]["canaryTrafficPercent"] == 30
    assert edits.with_traffic(found, 100) == edits.promoted(found)
    assert edits.promoted(found) == edits.new("iris", "models:/iris@champion")

    back = understood(edits.rolled_back(found))
    assert back.spec.predictor.canaryTrafficPercent is None
    assert back.spec.predictor.model.storageUri == "models:/iris/1"
    assert back.intentions.revision == "iris-00001", "whatever the alias means by now"


def test_return_after_a_promotion_and_to_a_named_revision() -> None:
    found = deployed(edits.new("iris", "models:/iris@champion"), candidate=False)
    assert understood(edits.rolled_back(found)).intentions.revision == "iris-00001"
    assert understood(edits.rolled_back(found, "iris-00002")).intentions.revision == "iris-00002"
    newer = edits.with_model(edits.rolled_back(found), "models:/iris/3")
    assert understood(newer).intentions.revision is None, "another model means what it says"


def test_what_cannot_be_moved_is_one_sentence() -> None:
    found = deployed(edits.new("iris", "models:/iris/2"), candidate=False)
    for edit in (edits.promoted, lambda document: edits.with_traffic(document, 5)):
        with pytest.raises(MillpondError, match="iris has one revision, so there is no traffic to move"):
            edit(found)
    with pytest.raises(MillpondError, match="has no revision iris-00009 to go back to") as caught:
        edits.rolled_back(found, "iris-00009")
    assert caught.value.hint == "kept are iris-00001, iris-00002"


def test_another_model_does_not_run_in_the_image_of_the_one_before() -> None:
    document = edits.new("iris", "models:/iris/1")
    document["spec"]["predictor"]["model"]["image"] = "example.org/millpond-model-iris:1-abc"
    assert understood(document).spec.predictor.model.image == "example.org/millpond-model-iris:1-abc"
    assert edits.with_model(document, "models:/iris/1") == document
    assert "image" not in edits.with_model(document, "models:/iris/2")["spec"]["predictor"]["model"]
