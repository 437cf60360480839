"""The controller's API for programs that a command starts, over HTTP; the cluster is a stand-in in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from millpond.serving import edits
from millpond.serving.client import Answer, ServingClient, ServingError
from millpond.serving.cluster.deployments import ClusterDeployments
from millpond.serving.cluster.front import Front

from .conftest import ClusterInMemory, context
from .test_graphs import graph

Data = dict[str, Any]


@pytest.fixture
def cluster() -> ClusterInMemory:
    found = ClusterInMemory(quick=True)
    answer = {"uri": "models:/a/1", "version": "1", "identity": "1"}
    found.answers["resolve"] = {"exitCode": 0, "message": json.dumps(answer)}
    return found


@pytest.fixture
def front(cluster: ClusterInMemory) -> Iterator[Front]:
    with Front(lambda: ClusterDeployments(context(), lambda: cluster)) as found:  # type: ignore[arg-type, return-value]
        yield found


@pytest.fixture
def client(front: Front) -> ServingClient:
    given = {"MILLPOND_SERVING_MONITOR": "http://127.0.0.1:1", "MILLPOND_GATEWAY_URL": "http://localhost:1"}
    return ServingClient.from_env(front.environment(given))


def test_a_step_deploys_as_on_one_machine(client: ServingClient, cluster: ClusterInMemory) -> None:
    found = client.apply(edits.new("a", "models:/a/1"), wait=20)
    assert found["status"]["url"] == "http://a.example.org"
    assert found["status"]["components"]["predictor"]["latestReadyRevision"] == "a-00001"
    assert cluster.kinds("Deployment") == ["a-00001"]
    assert [item["metadata"]["name"] for item in client.list()] == ["a"]
    assert client.apply_graph(graph())["status"]["conditions"][0]["status"] == "True"
    assert [item["metadata"]["name"] for item in client.graphs()] == ["tree"]
    assert client.graph("tree")["metadata"]["generation"] == 1
    client.delete_graph("tree")
    client.delete("a")
    assert cluster.objects == {}


def test_predictions_go_the_way_that_leads_to_the_cluster(
    client: ServingClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def ask(*given: Any) -> Answer:
        """In place of kubectl's forwarded port."""
        asked.append(given)
        return Answer(200, {"x-millpond-revision": "a-00001"}, b'{"outputs": [{"data": [3.0]}]}')

    monkeypatch.setattr("millpond.serving.cluster.deployments.ask", ask)
    client.apply(edits.new("a", "models:/a/1"), wait=20)
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    found = client.send("a", "/v2/models/a/infer", body, headers={"x-revision": "a-00001"})
    assert found.json()["outputs"][0]["data"] == [3.0]
    assert found.headers["x-millpond-revision"] == "a-00001"
    ((url, _, place, paths, payload, headers),) = asked
    assert url == "http://a.example.org"
    assert place == ("demo", "a-00001", 8080)
    assert (paths[0], payload, headers) == ("/v2/models/a/infer", body, {"x-revision": "a-00001"})


def test_what_goes_wrong_is_told_in_the_words_of_the_cluster_s_side(
    client: ServingClient, front: Front
) -> None:
    for call, status, said in (
        (lambda: client.get("b"), 404, "there is no deployment b"),
        (lambda: client.send("b", "/v2/models/b/infer", {}), 404, "there is no deployment b"),
        (lambda: client.apply(edits.new("b", "/home/me/model")), 422, "a pod does not see folders"),
        (lambda: client.measured("b", "drift"), 0, "no monitor is known here"),
    ):
        with pytest.raises(ServingError, match=said) as caught:
            call()
        assert caught.value.status == status
    with pytest.raises(ServingError, match="token is missing or wrong") as caught:
        ServingClient(front.url, "another").list()
    assert caught.value.status == 401
