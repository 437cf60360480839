"""SeldonDeployments: the tutorial's shape, two predictors, graphs, and what has no counterpart."""

from __future__ import annotations

import json

import pytest

from millpond.model.errors import DocumentError, DocumentErrors
from millpond.serving import inferencegraph, inferenceservice
from millpond.serving.seldon import translate

TUTORIAL = """\
apiVersion: machinelearning.seldon.io/v1alpha2
kind: SeldonDeployment
metadata:
  name: wines-classifier
  namespace: seldon
spec:
  predictors:
  - graph:
      children: []
      implementation: MLFLOW_SERVER
      modelUri: s3://models/1/abc/artifacts/model
      name: wines-classifier
    name: model-a
    replicas: 1
    traffic: 100
    componentSpecs:
    - spec:
        containers:
        - name: wines-classifier
          env: [{name: OMP_NUM_THREADS, value: 2}]
          livenessProbe: {initialDelaySeconds: 60, httpGet: {path: /health/ping, port: http}}
          readinessProbe: {initialDelaySeconds: 60, httpGet: {path: /health/ping, port: http}}
"""
TWO = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: wines}
spec:
  predictors:
  - name: main
    traffic: 75
    graph: {name: classifier, implementation: SKLEARN_SERVER, modelUri: "s3://models/a"}
  - name: canary
    traffic: 25
    graph: {name: classifier, implementation: XGBOOST_SERVER, modelUri: "s3://models/b"}
"""
CHAIN = """\
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: wines}
spec:
  predictors:
  - name: main
    graph:
      name: clean
      implementation: MLFLOW_SERVER
      modelUri: models:/clean/1
      children:
      - {name: predict, implementation: MLFLOW_SERVER, modelUri: models:/predict/1}
"""


def test_the_tutorials_deployment_is_an_inference_service() -> None:
    (document,) = translate(TUTORIAL, "wines.yaml")
    service = inferenceservice.read(json.dumps(document), "translated")
    assert (service.metadata.name, service.metadata.namespace) == ("wines-classifier", "seldon")
    model = service.spec.predictor.model
    assert (model.modelFormat.name, model.storageUri) == ("mlflow", "s3://models/1/abc/artifacts/model")
    assert [(item.name, item.value) for item in model.env] == [("OMP_NUM_THREADS", "2")]


def test_a_second_predictor_is_a_second_revision_with_its_share() -> None:
    first, second = translate(TWO, "wines.yaml")
    for document in (first, second):
        inferenceservice.read(json.dumps(document), "translated")
    assert first["metadata"] == second["metadata"] == {"name": "wines", "namespace": "default"}
    assert first["spec"]["predictor"]["model"]["modelFormat"] == {"name": "sklearn"}
    assert "canaryTrafficPercent" not in first["spec"]["predictor"]
    assert second["spec"]["predictor"]["model"]["modelFormat"] == {"name": "xgboost"}
    assert second["spec"]["predictor"]["canaryTrafficPercent"] == 25


@pytest.mark.parametrize(
    ("traffic", "mirrored"), [("traffic: 30\n    shadow: true", "30"), ("shadow: true", "100")]
)
def test_a_shadow_gets_no_traffic_and_a_mirror(traffic: str, mirrored: str) -> None:
    text = TWO.replace("traffic: 25", traffic).replace("traffic: 75", "traffic: 100")
    second = translate(text, "wines.yaml")[1]
    inferenceservice.read(json.dumps(second), "translated")
    assert second["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert second["metadata"]["annotations"] == {"serving.millpond.dev/mirror": mirrored}


def test_a_chain_of_models_is_a_sequence() -> None:
    clean, predict, graph = translate(CHAIN, "wines.yaml")
    assert clean["metadata"]["name"] == "wines-clean"
    assert predict["spec"]["predictor"]["model"]["protocolVersion"] == "v1"
    read = inferencegraph.from_document(graph)
    assert read.metadata.name == "wines"
    assert read.services() == ["wines-clean", "wines-predict"]
    last = read.spec.nodes["root"].steps[1]
    assert (last.data, last.mapPredictionsToInstances, last.dependency) == ("$response", True, "Hard")


def test_a_random_ab_test_is_a_splitter() -> None:
    text = CHAIN.replace(
        "implementation: MLFLOW_SERVER\n      modelUri: models:/clean/1", "implementation: RANDOM_ABTEST"
    )
    text = text.replace(
        "      children:\n",
        "      parameters: [{name: ratioA, value: '0.3', type: FLOAT}]\n      children:\n",
    )
    text += "      - {name: other, implementation: MLFLOW_SERVER, modelUri: models:/other/1}\n"
    *_, graph = translate(text, "wines.yaml")
    assert [step.weight for step in inferencegraph.from_document(graph).spec.nodes["root"].steps] == [30, 70]


def test_replicas_and_loggers_are_kept() -> None:
    text = TUTORIAL.replace("replicas: 1", "replicas: 3").replace(
        "children: []", "children: []\n      logger: {url: 'http://logs', mode: request}"
    )
    predictor = translate(text, "wines.yaml")[0]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (3, 3)
    assert predictor["logger"] == {"url": "http://logs", "mode": "request"}


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (TUTORIAL, "MLFLOW_SERVER", "TENSORFLOW_SERVER", "10:23: the implementation TENSORFLOW_SERVER"),
        (TUTORIAL, "MLFLOW_SERVER", "AVERAGE_COMBINER", "the implementation AVERAGE_COMBINER is not"),
        (TUTORIAL, "      implementation: MLFLOW_SERVER\n", "", "has no implementation"),
        (TUTORIAL, "implementation: MLFLOW_SERVER", "type: TRANSFORMER", "a unit of the type TRANSFORMER"),
        (TUTORIAL, "s3://models", "gs://models", "11:17: modelUri 'gs://models/1/abc/artifacts/model'"),
        (TUTORIAL, "modelUri", "modelUrl", "11:7: unknown key modelUrl"),
        (TUTORIAL, "traffic: 100", "traffic: 90", "8:3: the traffic of the predictors adds up to 90"),
        (TUTORIAL, "traffic: 100", "shadow: true", "the first predictor answers and cannot be a shadow"),
        (TUTORIAL, "replicas: 1", "explainer: {}", "explainer of a SeldonDeployment is not supported"),
        (TUTORIAL, "- spec:", "- hpaSpec: {}\n      spec:", "hpaSpec of a SeldonDeployment is not supported"),
        (TUTORIAL, "env:", "volumeMounts: []\n          env:", "volumeMounts of a SeldonDeployment"),
        (TUTORIAL, "env:", "image: me/mine:1\n          env:", "the image me/mine:1 is not supported"),
        (TUTORIAL, "value: 2", "valueFrom: {}", "valueFrom"),
        (TUTORIAL, "children: []", "endpoint: {type: GRPC}", "an endpoint of another type than REST"),
        (TUTORIAL, "children: []", "parameters: [{name: method, value: a}]", "9:20: the parameter method"),
        (TUTORIAL, "spec:\n  pred", "spec:\n  transport: grpc\n  pred", "spec.transport"),
        (TUTORIAL, "spec:\n  pred", "spec:\n  oauth_key: a\n  pred", "oauth_key of a SeldonDeployment"),
        (
            TUTORIAL,
            "  namespace: seldon",
            "  annotations: {seldon.io/ambassador-shadow: 'true'}",
            "the annotation seldon.io/ambassador-shadow is not supported",
        ),
        (TWO, "traffic: 25", "traffic: 20", "adds up to 95"),
        (CHAIN, "models:/predict/1}", "models:/predict/1}\n      - {name: b}", "13:9: clean has two"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_at_its_place(text: str, old: str, new: str, said: str) -> None:
    assert old in text
    with pytest.raises(DocumentError) as caught:
        translate(text.replace(old, new, 1), "wines.yaml")
    mistakes = caught.value.errors if isinstance(caught.value, DocumentErrors) else [caught.value]
    assert any(said in str(mistake) for mistake in mistakes), mistakes
