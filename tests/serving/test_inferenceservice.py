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
        ("name: mlflow", "name: onnx", "the model format onnx is not supported yet", None),
        ("protocolVersion: v2", "protocolVersion: grpc-v2", "grpc-v2 is not supported yet", None),
        ("protocolVersion: v2", "args: [a]", "args is not supported yet", None),
        ("minReplicas: 1", "minReplicas: 0", "minReplicas 0 is not supported yet", None),
        ("canaryTrafficPercent: 100", "canaryTrafficPercent: 10", "canaryTrafficPercent 10 is not", None),
        ("minReplicas: 1", "logger: {mode: all}", "logger is not supported yet", None),
        ("kind: InferenceService", "kind: InferenceServices", "2:7: kind", "did you mean InferenceService?"),
        ("spec:\n", "spec:\n  transformer: {}\n", "transformer is not supported yet", None),
        ("value:", "valueFrom:", "valueFrom is not supported yet", None),
        ("runtime: kserve-mlserver", "runtime: triton", "runtime", None),
    ],
)
def test_a_mistake_is_told_at_its_place(old: str, new: str, said: str, hint: str | None) -> None:
    with pytest.raises(DocumentError) as caught:
        read(DOCUMENT.replace(old, new, 1), "flights.yaml")
    mistakes = caught.value.errors if isinstance(caught.value, DocumentErrors) else [caught.value]
    assert any(said in str(mistake) and hint in (None, mistake.hint) for mistake in mistakes), mistakes
