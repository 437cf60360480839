"""Graphs on a cluster without KServe: a router each; the cluster's API is a stand-in in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest

from millpond.gateway.document import parse_routes
from millpond.model.cluster import Routes
from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.client import ServingError
from millpond.serving.cluster import graph_objects
from millpond.serving.cluster.deployments import ClusterDeployments
from millpond.serving.cluster.gitops import rendered_graph
from millpond.serving.inferencegraph import from_document

from .conftest import ClusterInMemory, context
from .test_http_routes import SCHEMA
from .test_objects import NEWEST

Data = dict[str, Any]
VALUES = {
    "routerType": "Splitter",
    "steps": [{"serviceName": "a", "weight": 30}, {"nodeName": "both", "weight": 70}],
}
BOTH = {
    "routerType": "Ensemble",
    "steps": [{"serviceName": "a", "name": "x"}, {"serviceUrl": "https://b.example"}],
}


def graph(name: str = "tree", **spec: Any) -> Data:
    """A graph that calls the deployment a, and an address."""
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": name},
        "spec": {"nodes": {"root": VALUES, "both": BOTH}, **spec},
    }


def ready(found: Data) -> tuple[str, str]:
    told = next(item for item in found["status"]["conditions"] if item["type"] == "Ready")
    return told["status"], told.get("message", "")


@pytest.fixture
def cluster() -> ClusterInMemory:
    found = ClusterInMemory()
    answer = {"uri": "models:/a/1", "version": "1", "identity": "1"}
    found.answers["resolve"] = {"exitCode": 0, "message": json.dumps(answer)}
    found.answers["publish"] = {"exitCode": 0, "message": json.dumps({"urls": ["http://tree.example.org"]})}
    return found


@pytest.fixture
def serving(cluster: ClusterInMemory) -> Iterator[ClusterDeployments]:
    with ClusterDeployments(context(), lambda: cluster) as found:  # type: ignore[arg-type, return-value]
        yield found


def told(cluster: ClusterInMemory) -> Data:
    """What the router reads."""
    found: Data = json.loads(cluster.objects["ConfigMap", "graph-tree"]["data"]["tree.json"])
    return found


def pods_of(cluster: ClusterInMemory) -> Data:
    template: Data = cluster.objects["Deployment", "tree"]["spec"]["template"]
    return template


def deployed(serving: ClusterDeployments, cluster: ClusterInMemory, **more: Any) -> None:
    serving.apply(edits.new("a", "models:/a/1", **more))
    cluster.ready.add("a-00001")
    serving.get("a")


def test_a_graph_answers_when_its_router_is_ready_and_not_before(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    deployed(serving, cluster)
    assert ready(serving.apply_graph(graph())) == ("Unknown", "waiting for its pods")
    assert "tree" not in cluster.kinds("HTTPRoute")
    cluster.ready.add("tree")
    found = serving.graph("tree")
    assert ready(found) == ("True", "")
    assert found["status"]["url"] == "http://tree.example.org"
    assert {"tree", "tree-serving"} <= set(cluster.kinds("HTTPRoute"))
    assert [item["metadata"]["name"] for item in serving.list()] == ["a"], "a graph is no deployment"
    assert [item["metadata"]["name"] for item in serving.graphs()] == ["tree"]


def test_its_router_is_told_where_the_models_are_and_pods_are_made_anew_when_that_changes(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    assert ready(serving.apply_graph(graph()))[1] == "there is no deployment a"
    assert told(cluster)["services"] == {}
    before = pods_of(cluster)
    deployed(serving, cluster)
    assert told(cluster)["services"] == {"a": "http://a.demo.svc:8080/v2/models/a/infer"}
    assert from_document(told(cluster)["document"]) == from_document(graph())
    assert pods_of(cluster)["metadata"]["annotations"] != before["metadata"]["annotations"]
    between = pods_of(cluster)
    serving.graphs()
    assert pods_of(cluster) == between, "looking changes nothing"
    assert serving.apply_graph(graph())["metadata"]["generation"] == 1, "nor does the same graph again"
    assert pods_of(cluster) == between
    serving.apply_graph(graph(timeout=5))
    assert pods_of(cluster)["metadata"]["annotations"] != between["metadata"]["annotations"]
    serving.delete("a")
    assert ready(serving.graph("tree"))[1] == "there is no deployment a"
    assert told(cluster)["services"] == {}


def test_the_model_s_protocol_says_the_path_as_on_one_machine(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    document = edits.new("a", "models:/a/1")
    document["spec"]["predictor"]["model"]["protocolVersion"] = "v1"
    serving.apply(document)
    serving.apply_graph(graph())
    assert told(cluster)["services"] == {"a": "http://a.demo.svc:8080/v1/models/a:predict"}


def test_nothing_is_left_of_a_graph_that_is_deleted(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    cluster.ready.add("tree")
    serving.apply_graph(graph(minReplicas=1, maxReplicas=3))
    assert cluster.kinds("HorizontalPodAutoscaler") == ["tree"]
    serving.apply_graph(graph())
    assert cluster.kinds("HorizontalPodAutoscaler") == [], "what a graph has no more is gone"
    serving.delete_graph("tree")
    assert cluster.objects == {}
    assert serving.graphs() == []
    with pytest.raises(ServingError, match="there is no graph tree"):
        serving.delete_graph("tree")


def test_the_platform_s_own_gateway_leads_to_the_router(cluster: ClusterInMemory) -> None:
    cluster.ready.add("tree")
    here = context(Routes(), gateway="gateway", entrance=({"name": "MILLPOND_GATEWAY_API", "value": "x"},))
    with ClusterDeployments(here, lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        deployed(serving, cluster)
        assert ready(serving.apply_graph(graph())) == ("True", "")
        made = [name for kind, name in cluster.applied if kind == "Job"]
        assert any(name.startswith("tree-publish") for name in made)
        assert cluster.kinds("HTTPRoute") == []


@pytest.mark.parametrize("spec", [{}, {"minReplicas": 2, "maxReplicas": 4, "scaleMetric": "memory"}])
def test_every_object_fits_the_schema_and_the_restricted_standard(spec: Data) -> None:
    here, found = context(gateway="gateway"), from_document(graph(**spec))
    services = {"a": "http://a.demo.svc:8080/v2/models/a/infer"}
    made = [graph_objects.config(here, found, services), *graph_objects.running(here, found, services)]
    for each in made:
        kubernetes_validate.validate(each, NEWEST, strict=True)
    routes = graph_objects.http_routes(context(), found)
    for each in routes:
        jsonschema.validate(each["spec"], SCHEMA)
    parse_routes({"routes": graph_objects.gateway_routes(here, found)})
    assert [each["spec"]["hostnames"] for each in routes] == [["tree.example.org"], ["serving.example.org"]]
    pod = next(each for each in made if each["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {item["name"] for item in container["env"]} == {"HOME", "PYTHONUNBUFFERED"}, "it needs no keys"


def test_a_router_may_ask_the_models_of_its_graph_and_nobody_else() -> None:
    found = from_document(graph())
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in graph_objects.running(context(gateway="gateway"), found, {})
        if each["kind"] == "NetworkPolicy"
    }
    own, entrance = policies["graph-tree"], policies["gateway-to-graph-tree"]
    models, elsewhere = own["egress"]
    (peer,) = models["to"]
    assert peer["podSelector"]["matchLabels"]["millpond.dev/deployment"] == "a"
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "model"
    assert [port["port"] for port in models["ports"]] == [8080]
    assert elsewhere == {"ports": [{"protocol": "TCP", "port": 443}]}, "of the step's own address"
    assert entrance["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "gateway"
    (led,) = entrance["egress"]
    assert led["to"] == [{"podSelector": own["podSelector"]}]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (graph(minReplicas=0), "minReplicas 0"),
        (graph(minReplicas=2, maxReplicas=1), "maxReplicas 1"),
        (graph(minReplicas=1, maxReplicas=2, scaleMetric="rps"), "scaleMetric rps"),
        ({**graph(), "metadata": {"name": "tree", "namespace": "other"}}, "namespace other"),
        (graph("a"), "a is the name of a deployment"),
        (graph("mlflow"), "mlflow is the name of another Service"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    document: Data, said: str, serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    deployed(serving, cluster)
    cluster.objects["Service", "mlflow"] = {"metadata": {"name": "mlflow", "labels": {}}}
    before = sorted(cluster.objects)
    with pytest.raises(MillpondError, match=said) as caught:
        serving.apply_graph(document)
    assert caught.value.hint
    assert sorted(cluster.objects) == before


def test_a_deployment_takes_no_name_that_something_else_has(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    serving.apply_graph(graph())
    cluster.objects["Service", "mlflow"] = {"metadata": {"name": "mlflow", "labels": {}}}
    for name, said in (("tree", "a graph"), ("mlflow", "another Service")):
        with pytest.raises(MillpondError, match=f"{name} is the name of {said}"):
            serving.apply(edits.new(name, "models:/a/1"))


def test_files_say_a_graph_beside_its_deployments() -> None:
    found, services = from_document(graph()), {"a": edits.new("a", "models:/a/1")}
    made = rendered_graph(found, context(), services)
    assert [(each["kind"], each["metadata"]["name"]) for each in made] == [
        ("ConfigMap", "graph-tree"),
        ("NetworkPolicy", "graph-tree"),
        ("Deployment", "tree"),
        ("Service", "tree"),
        ("PodDisruptionBudget", "tree"),
        ("HTTPRoute", "tree"),
        ("HTTPRoute", "tree-serving"),
    ]
    assert json.dumps(made) == json.dumps(rendered_graph(found, context(), services))
    with pytest.raises(MillpondError, match="calls a, which no file says how to reach"):
        rendered_graph(found, context(), {})
    (theirs,) = rendered_graph(found, context(), {}, by_kserve=True)
    assert theirs["kind"] == "InferenceGraph"
