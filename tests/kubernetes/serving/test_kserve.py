"""Documents for KServe: its own words, the registry's models as places in the lake, keys by a Secret."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.cluster import kserve
from millpond.serving.cluster.deployments import ClusterDeployments
from millpond.serving.inferenceservice import InferenceService

from .conftest import ClusterInMemory, context

Data = dict[str, Any]


def test_a_model_of_the_registry_goes_to_kserve_as_a_place_in_the_lake() -> None:
    cluster = ClusterInMemory(kserve=True)
    encoded = {"access": base64.b64encode(b"key").decode(), "secret": base64.b64encode(b"hidden").decode()}
    cluster.objects["Secret", "lake"] = {"metadata": {"name": "lake", "labels": {}}, "data": encoded}
    answer = {"uri": "models:/flights/3", "source": "mlflow-artifacts:/1/models/m-1/artifacts"}
    cluster.answers["resolve"] = {"exitCode": 0, "message": json.dumps(answer)}
    here = context(artifacts="s3://modelartifacts/mlflow")
    with ClusterDeployments(here, lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        asked = edits.canary(edits.new("flights", "models:/flights@champion"), 10, header="x-beta=yes")
        serving.apply(asked)
        assert [item["metadata"]["name"] for item in serving.list()] == ["flights"]
        again = edits.with_traffic(
            {**serving.get("flights"), "status": {"components": {"predictor": {"traffic": [1, 2]}}}}, 30
        )
        serving.apply(again)
        assert again["spec"]["predictor"]["model"]["storageUri"] == "models:/flights@champion"
        serving.apply(asked)
    made = cluster.objects["InferenceService", "flights"]
    predictor = made["spec"]["predictor"]
    assert predictor["model"] == {
        "modelFormat": {"name": "mlflow"},
        "storageUri": "s3://modelartifacts/mlflow/1/models/m-1/artifacts",
        "runtime": "kserve-mlserver",
        "protocolVersion": "v2",
    }
    assert predictor["canaryTrafficPercent"] == 10
    assert asked["metadata"]["annotations"].items() <= made["metadata"]["annotations"].items()
    assert predictor["serviceAccountName"] == "millpond-models"
    secret = cluster.objects["Secret", "millpond-models"]
    assert secret["metadata"]["annotations"]["serving.kserve.io/s3-endpoint"] == "seaweedfs.demo.svc:8333"
    assert secret["metadata"]["annotations"]["serving.kserve.io/s3-usehttps"] == "0"
    assert base64.b64decode(secret["data"]["AWS_SECRET_ACCESS_KEY"]) == b"hidden"
    assert cluster.objects["ServiceAccount", "millpond-models"]["secrets"] == [{"name": "millpond-models"}]


@pytest.mark.parametrize(
    ("uri", "model_format", "said"),
    [
        ("s3://models/a", "keras", "no runtime for the format keras"),
        ("/home/me/model", "mlflow", "KServe cannot read /home/me/model"),
    ],
)
def test_what_kserve_cannot_serve_is_refused_by_name(uri: str, model_format: str, said: str) -> None:
    service = InferenceService.model_validate(edits.new("a", uri, model_format))
    with pytest.raises(MillpondError, match=said):
        kserve.document(service, context(), uri)


def test_a_registry_that_hands_files_out_itself_is_named() -> None:
    with pytest.raises(MillpondError, match="hands the model's files out itself"):
        kserve.place_of("a", "mlflow-artifacts:/1/2", None)


def test_graphs_are_handed_on() -> None:
    cluster = ClusterInMemory(kserve=True)
    with ClusterDeployments(context(), lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        graph = {"apiVersion": kserve.GRAPH_VERSION, "kind": kserve.GRAPH, "metadata": {"name": "tree"}}
        serving.apply_graph({**graph, "spec": {"nodes": {}}})
    assert cluster.objects["InferenceGraph", "tree"]["metadata"]["namespace"] == "demo"
