"""Deployment documents: KServe's words, each mistake at its place."""

from __future__ import annotations

import json

import pytest

from millpond.model.errors import DocumentError, DocumentErrors
from millpond.serving.inferenceservice import read

DOCUMENT = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: flights
  annotations: {owner: me}
spec:
  predictor:
    minReplicas: 1
    canaryTrafficPercent: 100
    model:
      modelFormat: {name: mlflow}
      protocolVersion: v2
      runtime: kserve-mlserver
      storageUri: models:/flights@champion
      resources: {limits: {cpu: 1, memory: 2Gi}}
      env: [{name: OMP_NUM_THREADS, value: "2"}]
"""


def test_a_kserve_document_is_read() -> None:
    service = read(DOCUMENT, "flights.yaml")
    model = service.spec.predictor.model
    assert service.metadata.namespace == "default"
    assert model.storageUri == "models:/flights@champion"
    assert model.resources.limits == {"cpu": "1", "memory": "2Gi"}
    assert [(item.name, item.value) for item in model.env] == [("OMP_NUM_THREADS", "2")]


def test_what_the_server_answered_is_accepted_back() -> None:
    document = read(DOCUMENT, "flights.yaml").document()
    document["metadata"] |= {"uid": "a", "generation": 4, "resourceVersion": "4", "creationTimestamp": "b"}
    document["status"] = {"conditions": []}
    again = read(json.dumps(document), "body").document()
    assert again == read(DOCUMENT, "flights.yaml").document()


@pytest.mark.parametrize(
    ("old", "new", "said", "hint"),
    [
        ("name: flights", "name: Flights_1", "4:9: metadata.name: 'Flights_1' is not a DNS-1123 label", None),
        ("storageUri", "storageUrl", "14:7: unknown key storageUrl", "did you mean storageUri?"),
        ("models:/flights@champion", "http://a/b", "14:19: spec.predictor.model.storageUri", None),
        ("name: mlflow", "name: pmml", "the model format pmml is not supported; known are mlflow,", None),
        ("protocolVersion: v2", "protocolVersion: grpc-v1", "grpc-v1 is not supported", None),
        ("protocolVersion: v2", "args: [a]", "args is not supported", None),
        (
            "minReplicas: 1",
            "maxReplicas: 1\n    minReplicas: 2",
            "maxReplicas 1 is less than minReplicas 2",
            None,
        ),
        ("minReplicas: 1", "scaleMetric: cpu", "scaleMetric cpu is not supported, concurrency is", None),
        (
            "canaryTrafficPercent: 100",
            "canaryTrafficPercent: 101",
            "spec.predictor.canaryTrafficPercent",
            None,
        ),
        ("minReplicas: 1", "logger: {mode: some}", "spec.predictor.logger.mode", None),
        ("minReplicas: 1", "logger: {storage: {}}", "storage is not supported", None),
        ("memory: 2Gi", "memory: lots", "memory: 'lots' is not a quantity", None),
        ("    model:\n", "    sklearn: {}\n    model:\n", "sklearn stands beside another model", None),
        ("{owner: me}", "{serving.millpond.dev/stiky: cookie}", "stiky; did you mean sticky?", None),
        ("{owner: me}", '{serving.millpond.dev/mirror: "100"}', "set canaryTrafficPercent below 100", None),
        ("{owner: me}", '{serving.millpond.dev/rollout: "{steps}"}', "rollout is not JSON", None),
        ("kind: InferenceService", "kind: InferenceServices", "2:7: kind", "did you mean InferenceService?"),
        ("spec:\n", "spec:\n  transformer: {}\n", "containers is missing in spec.transformer", None),
        ("value:", "valueFrom:", "valueFrom is not supported", None),
        ("runtime: kserve-mlserver", "runtime: triton", "runtime", None),
    ],
)
def test_a_mistake_is_told_at_its_place(old: str, new: str, said: str, hint: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        read(DOCUMENT.replace(old, new, 1), "flights.yaml")
    mistakes = caught.value.errors if isinstance(caught.value, DocumentErrors) else [caught.value]
    assert any(said in str(mistake) and hint in (None, mistake.hint) for mistake in mistakes), mistakes


def test_the_older_form_names_the_format_by_its_key() -> None:
    old = """
metadata: {name: iris}
spec: {predictor: {sklearn: {storageUri: s3://models/iris, protocolVersion: v2}}}
"""
    model = read(old, "iris.yaml").spec.predictor.model
    assert (model.modelFormat.name, model.storageUri, model.protocolVersion) == (
        "sklearn",
        "s3://models/iris",
        "v2",
    )


def test_annotations_say_what_kserve_has_no_field_for() -> None:
    text = DOCUMENT.replace("canaryTrafficPercent: 100", "canaryTrafficPercent: 5").replace(
        "{owner: me}",
        """
    owner: me
    serving.millpond.dev/sticky: header:X-User
    serving.millpond.dev/canary-header: x-beta=yes
    serving.millpond.dev/experiment: prices
    serving.millpond.dev/rollout: '{"steps": [5, 100], "interval": "2m"}'
    autoscaling.knative.dev/window: 30s
    serving.millpond.dev/model-version: "7"
""",
    )
    found = read(text, "flights.yaml").intentions
    assert found.sticky is not None and found.sticky.header == "x-user"
    assert found.header == ("x-beta", "yes")
    assert (found.experiment, found.window) == ("prices", 30.0)
    assert found.rollout is not None
    assert (found.rollout.steps, found.rollout.interval, found.rollout.requests) == ((5, 100), 120.0, 100)


def test_a_transformer_is_a_callable() -> None:
    before = "  transformer: {containers: [{name: kserve-container, args: ['shape.py:Shape']}]}\n"
    text = DOCUMENT.replace("spec:\n", f"spec:\n{before}", 1)
    transformer = read(text, "flights.yaml").spec.transformer
    assert transformer is not None and transformer.target == "shape.py:Shape"
    with pytest.raises(DocumentError, match="args holds one callable"):
        read(text.replace("shape.py:Shape", "--shape"), "flights.yaml")
    with pytest.raises(DocumentError, match="image is not supported"):
        read(text.replace("{name:", "{image: a, name:"), "flights.yaml")
