"""What a deployment comes down to: accepted by the API's schemas, restricted, the same every time."""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.cluster import jobs, objects, pod
from millpond.targets.kubernetes.bundle import PART_OF

from .conftest import LOG, context, record

Data = dict[str, Any]
NEWEST = max(
    (
        entry.name.removeprefix("v").rpartition(".")[0]
        for entry in (files("kubernetes_validate") / "kubernetes-json-schema").iterdir()
        if entry.name.startswith("v1.")
    ),
    key=lambda text: [int(part) for part in text.split(".")],
)


def full() -> Data:
    """A document with all that a pod is made from."""
    document = edits.new("flights", "models:/flights/1")
    predictor = document["spec"]["predictor"]
    predictor |= {"minReplicas": 2, "maxReplicas": 4, "timeout": 30}
    limits = {"cpu": "2", "memory": "2Gi", "nvidia.com/gpu": "1"}
    predictor["model"] |= {
        "protocolVersion": "grpc-v2",
        "resources": {"limits": limits},
        "env": [{"name": "TEMPLATE", "value": "$(HOME)"}],
    }
    return document


def every(document: Data) -> list[Data]:
    here, found = context(gateway="gateway", log=LOG), record(document)
    made = jobs.job(here, "flights", "resolve", ["--uri", "models:/flights@best"], here.lake, "1")
    return [
        *objects.revision_objects(here, found, found.revisions[0]),
        *objects.shared_objects(here, found),
        objects.primary_service(here, found),
        made,
    ]


def noted(mode: str = "all") -> Data:
    """A document whose predictions are noted."""
    document = edits.new("flights", "models:/flights/1")
    document["spec"]["predictor"]["logger"] = {"mode": mode}
    document["metadata"]["annotations"] = {"serving.millpond.dev/log-sample": "0.5"}
    return document


@pytest.mark.parametrize("document", [edits.new("flights", "models:/flights/1"), full(), noted()])
def test_every_object_fits_the_schema(document: Data) -> None:
    for found in every(document):
        kubernetes_validate.validate(found, NEWEST, strict=True)


def test_the_same_document_gives_the_same_bytes() -> None:
    assert json.dumps(every(full())) == json.dumps(every(full()))


def test_pods_are_restricted_and_hold_no_secret() -> None:
    for found in (*every(full()), *every(noted())):
        template = found["spec"].get("template")
        if template is None:
            continue
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            for variable in container["env"]:
                assert "SECRET" not in variable["name"] or "value" not in variable


def test_a_gpu_is_asked_for_with_its_node_and_what_the_document_says_is_kept() -> None:
    deployment = every(full())[0]
    pod = deployment["spec"]["template"]["spec"]
    model = pod["containers"][0]
    assert model["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert model["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert pod["nodeSelector"] == {"dedicated": "gpu"}
    assert pod["tolerations"][0]["value"] == "gpu"
    assert "--timeout" in model["command"]
    assert {"name": "TEMPLATE", "value": "$$(HOME)"} in model["env"], "the kubelet would read $(HOME)"


def test_predictions_are_noted_by_a_sidecar_that_ends_after_the_server() -> None:
    pod = every(noted("request"))[0]["spec"]["template"]["spec"]
    fetch, log = pod["initContainers"]
    (server,) = pod["containers"]
    assert (fetch["name"], log["name"], log["restartPolicy"]) == ("fetch", "log", "Always")
    words = " ".join(log["command"])
    assert "--deployment flights --namespace default --mode request --sample 0.5" in words
    assert (
        server["command"][server["command"].index("--log-dir") + 1] == "/var/lib/millpond/predictions/flights"
    )
    places = [
        [each["mountPath"] for each in one["volumeMounts"] if each["name"] == "log"] for one in (log, server)
    ]
    assert places == [["/var/lib/millpond"]] * 2
    assert {item["name"] for item in log["env"]} == {"HOME", *(item["name"] for item in LOG)}
    assert pod["shareProcessNamespace"] is True
    plain = every(edits.new("flights", "models:/flights/1"))[0]["spec"]["template"]["spec"]
    assert [each["name"] for each in plain["initContainers"]] == ["fetch"]
    assert pod["terminationGracePeriodSeconds"] == plain["terminationGracePeriodSeconds"] + 15


def test_an_autoscaler_says_how_many_where_there_is_one() -> None:
    kinds = {found["kind"]: found for found in every(full())}
    assert "replicas" not in kinds["Deployment"]["spec"], "two that set it would undo each other"
    assert kinds["HorizontalPodAutoscaler"]["spec"]["maxReplicas"] == 4
    alone = {found["kind"]: found for found in every(edits.new("flights", "models:/flights/1"))}
    assert alone["Deployment"]["spec"]["replicas"] == 1
    assert "HorizontalPodAutoscaler" not in alone


def test_the_platform_prunes_nothing_of_a_deployment_but_its_pods_have_serving_s_edges() -> None:
    for found in every(full()):
        assert PART_OF not in found["metadata"]["labels"]
    labels = every(full())[0]["spec"]["template"]["metadata"]["labels"]
    assert labels[PART_OF] == "demo"
    assert labels["app.kubernetes.io/instance"] == "serving"
    assert labels["app.kubernetes.io/component"] == "model", "the Service of serving is for its own pods"


def test_a_revision_runs_an_image_of_its_own() -> None:
    def images(document: Data) -> set[str]:
        spec = every(document)[0]["spec"]["template"]["spec"]
        return {each["image"] for each in (*spec["initContainers"], *spec["containers"])}

    document = edits.new("flights", "models:/flights/1")
    assert images(document) == {context(gateway="gateway").image}
    document["spec"]["predictor"]["model"]["image"] = "example.org/millpond-model-flights:1-abc"
    assert images(document) == {"example.org/millpond-model-flights:1-abc"}


def test_an_image_of_a_model_has_its_files(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/MLmodel").write_text("a model")
    (tmp_path / "origin.json").write_text('{"uri": "models:/flights/1", "digest": "abc"}')
    (tmp_path / "pod").mkdir()
    asked = argparse.Namespace(
        uri="models:/flights/1", into=tmp_path / "pod/model", origin=tmp_path / "origin.json"
    )
    assert pod.fetch(asked)["digest"] == "abc"
    assert [path.name for path in (tmp_path / "pod").iterdir()] == ["model"]
    assert (asked.into / "MLmodel").read_text() == "a model"
    other = argparse.Namespace(uri="models:/flights/2", into=tmp_path / "pod/other", origin=asked.origin)
    with pytest.raises(
        MillpondError, match="the image has models:/flights/1, and models:/flights/2 is to be"
    ):
        pod.fetch(other)
