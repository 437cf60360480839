"""Deployments as files: pure, byte-stable, and honest about what files cannot say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from millpond.catalogue import Catalogue
from millpond.flavours import loader
from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.gitops import rendered
from millpond.serving.cluster.objects import pod_labels
from millpond.serving.inferenceservice import InferenceService
from millpond.targets.kubernetes.render import render

from .conftest import context


def made(document: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return rendered(InferenceService.model_validate(document), context(), **more)


def test_a_document_comes_down_to_the_same_files() -> None:
    document = edits.new("flights", "models:/flights/3")
    found = made(document)
    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [
        ("NetworkPolicy", "model-flights"),
        ("Deployment", "flights-00001"),
        ("Service", "flights-00001"),
        ("PodDisruptionBudget", "flights-00001"),
        ("Service", "flights"),
        ("HTTPRoute", "flights"),
        ("HTTPRoute", "flights-serving"),
    ]
    assert json.dumps(found) == json.dumps(made(document))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (edits.new("flights", "models:/flights@champion"), "another model when it is moved"),
        (edits.new("flights", "models:/flights/latest"), "another model when it is moved"),
        (edits.canary(edits.new("flights", "models:/flights/1"), 10), "two revisions"),
    ],
)
def test_what_files_cannot_say_is_refused(document: dict[str, Any], said: str) -> None:
    with pytest.raises(MillpondError, match=said):
        made(document)


def test_for_kserve_the_document_and_the_account() -> None:
    found = made(edits.new("flights", "s3://models/flights"), by_kserve=True)
    assert [each["kind"] for each in found] == ["ServiceAccount", "InferenceService"]


def test_a_platform_says_where_registry_and_lake_are_and_no_secret() -> None:
    source = loader.read(loader.SHIPPED / "starter.yaml")
    catalogue: Catalogue = source.catalogue()
    found = Context.of(source.resolve(catalogue), catalogue)
    said = {item["name"]: item for item in found.lake}
    assert said["MLFLOW_TRACKING_URI"]["value"].startswith("http://mlflow.")
    assert "secretKeyRef" in said["AWS_SECRET_ACCESS_KEY"]["valueFrom"]
    assert "secretKeyRef" in said["MLFLOW_TRACKING_PASSWORD"]["valueFrom"]
    assert found.artifacts == "s3://modelartifacts/mlflow"
    log = {item["name"]: item for item in found.log}
    assert log["MILLPOND_LOG_BUCKET"]["value"] == "predictions"
    assert log["AWS_SECRET_ACCESS_KEY"] != said["AWS_SECRET_ACCESS_KEY"], "keys of its own"
    assert found.gateway == "gateway"
    assert {item["name"] for item in found.entrance} >= {"MILLPOND_GATEWAY_API", "MILLPOND_GATEWAY_TOKEN"}


def test_the_platform_keeps_every_secret_that_model_pods_take_and_opens_their_edges() -> None:
    source = loader.read(loader.SHIPPED / "starter.yaml")
    catalogue = source.catalogue()
    platform = source.resolve(catalogue)
    bundle = render(platform, catalogue)
    kept = {(secret.name, key) for secret in bundle.secrets for key in secret.texts}
    here = Context.of(platform, catalogue)
    taken = {
        (item["valueFrom"]["secretKeyRef"]["name"], item["valueFrom"]["secretKeyRef"]["key"])
        for item in (*here.lake, *here.entrance, *here.log)
        if "valueFrom" in item
    }
    assert taken
    assert taken <= kept
    policy = next(
        each
        for each in bundle.units["serving"]
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "serving"
    )
    labels = pod_labels(here, "flights", "model")
    wanted = policy["spec"]["podSelector"]["matchLabels"]
    assert wanted.items() <= labels.items()
    ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert {5000, 8333} <= ports, "the registry and the lake"
