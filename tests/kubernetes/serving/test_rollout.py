"""A deployment's life on a cluster, through the calls that commands make; the API is a stand-in in memory."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from millpond.model.cluster import Routes
from millpond.model.errors import MillpondError
from millpond.serving import edits
from millpond.serving.client import ServingError, condition, failure_of
from millpond.serving.cluster.deployments import ClusterDeployments

from .conftest import LOG, ClusterInMemory, context

Data = dict[str, Any]


@pytest.fixture
def cluster() -> ClusterInMemory:
    found = ClusterInMemory()
    for version in ("1", "2"):
        answer = {"uri": f"models:/flights/{version}", "version": version, "identity": version}
        found.answers[f"models:/flights/{version}"] = {"exitCode": 0, "message": json.dumps(answer)}
    return found


@pytest.fixture
def serving(cluster: ClusterInMemory) -> Iterator[ClusterDeployments]:
    with ClusterDeployments(context(), lambda: cluster) as found:  # type: ignore[arg-type, return-value]
        yield found


def traffic(found: Data) -> dict[str, int]:
    live = found["status"]["components"]["predictor"].get("traffic", [])
    return {item["revisionName"]: item["percent"] for item in live}


def deployed(serving: ClusterDeployments, cluster: ClusterInMemory) -> None:
    serving.apply(edits.new("flights", "models:/flights/1"))
    cluster.ready.add("flights-00001")
    serving.get("flights")


def test_a_revision_takes_requests_when_it_is_ready_and_not_before(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    asked = serving.apply(edits.new("flights", "models:/flights/1"))
    assert condition(asked, "Ready") != "True"
    assert cluster.kinds("HTTPRoute") == []
    assert cluster.kinds("Deployment") == ["flights-00001"]
    cluster.ready.add("flights-00001")
    found = serving.get("flights")
    assert condition(found, "Ready") == "True"
    assert traffic(found) == {"flights-00001": 100}
    assert found["status"]["url"] == "http://flights.example.org"
    assert cluster.kinds("Service") == ["flights", "flights-00001"]
    assert cluster.kinds("Job") == [], "what looked the model up is gone"


def test_a_canary_is_put_beside_moved_promoted_and_rolled_back(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    deployed(serving, cluster)
    serving.apply(edits.canary(edits.new("flights", "models:/flights/2"), 10))
    assert traffic(serving.get("flights")) == {"flights-00001": 100}
    cluster.ready.add("flights-00002")
    found = serving.get("flights")
    assert traffic(found) == {"flights-00002": 10, "flights-00001": 90}
    found = serving.apply(edits.with_traffic(found, 40))
    assert traffic(serving.get("flights")) == {"flights-00002": 40, "flights-00001": 60}
    serving.apply(edits.promoted(serving.get("flights")))
    found = serving.get("flights")
    assert traffic(found) == {"flights-00002": 100}
    assert cluster.kinds("Deployment") == ["flights-00002"], "the old one has ended"
    assert cluster.kinds("PodDisruptionBudget") == ["flights-00002"]
    serving.apply(edits.rolled_back(found))
    found = serving.get("flights")
    assert traffic(found) == {"flights-00001": 100}
    assert [item["name"] for item in found["status"]["revisions"]] == ["flights-00001", "flights-00002"]


def test_one_that_does_not_load_leaves_the_old_one_serving_and_says_why(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    deployed(serving, cluster)
    serving.apply(edits.new("flights", "models:/flights/2"))
    ended = {"exitCode": 1, "message": "flights needs pandas"}
    container = {
        "name": "model",
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    cluster.pods["flights-00002"] = [
        {"metadata": {"name": "flights-00002-x"}, "status": {"containerStatuses": [container]}}
    ]
    found = serving.get("flights")
    assert failure_of(found) == "the model does not load: flights needs pandas"
    assert traffic(found) == {"flights-00001": 100}
    assert cluster.kinds("Deployment") == ["flights-00001"]


def test_a_model_that_the_registry_does_not_know_changes_nothing(
    serving: ClusterDeployments, cluster: ClusterInMemory
) -> None:
    cluster.answers = {"resolve": {"exitCode": 1, "message": "the registry has no models:/flights/9"}}
    with pytest.raises(MillpondError, match="the registry has no"):
        serving.apply(edits.new("flights", "models:/flights/9"))
    assert cluster.objects == {}


def test_undeploy_leaves_nothing(serving: ClusterDeployments, cluster: ClusterInMemory) -> None:
    deployed(serving, cluster)
    serving.delete("flights")
    assert cluster.objects == {}
    with pytest.raises(ServingError, match="no deployment flights"):
        serving.get("flights")


def test_the_platform_s_gateway_gets_the_routes_by_a_job(cluster: ClusterInMemory) -> None:
    cluster.answers = {
        "resolve": {"exitCode": 0, "message": '{"uri": "models:/flights/1", "version": "1"}'},
        "publish": {"exitCode": 0, "message": '{"urls": ["http://flights.localhost:8080"]}'},
    }
    here = context(Routes(), gateway="gateway", entrance=({"name": "MILLPOND_GATEWAY_API", "value": "a"},))
    with ClusterDeployments(here, lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        deployed(serving, cluster)
    assert any(kind == "Job" and "publish" in name for kind, name in cluster.applied)
    assert "model-flights-from-gateway" in cluster.kinds("NetworkPolicy")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (edits.canary(edits.new("a", "models:/a/1"), 10), "canaryTrafficPercent"),
        (edits.shadow(edits.new("a", "models:/a/1")), "mirror"),
        (edits.experiment(edits.new("a", "models:/a/1"), "prices"), "experiment"),
        (edits.new("a", "/home/me/model"), "storageUri /home/me/model"),
        (edits.new("a", "models:/a/1", namespace="other"), "namespace other"),
    ],
)
def test_what_nothing_here_does_is_refused_by_name(
    document: Data, said: str, cluster: ClusterInMemory
) -> None:
    with (
        ClusterDeployments(context(Routes()), lambda: cluster) as serving,  # type: ignore[arg-type, return-value]
        pytest.raises(MillpondError, match=said),
    ):
        serving.apply(document)
    assert cluster.objects == {}


def test_a_log_is_kept_of_all_revisions_that_serve(cluster: ClusterInMemory) -> None:
    def noting(name: str) -> bool:
        pod = cluster.objects["Deployment", name]["spec"]["template"]["spec"]
        return any(each["name"] == "log" for each in pod["initContainers"])

    with ClusterDeployments(context(log=LOG), lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        deployed(serving, cluster)
        canary = edits.canary(edits.new("flights", "models:/flights/2"), 10)
        serving.apply(canary)
        cluster.ready.add("flights-00002")
        serving.get("flights")
        assert (noting("flights-00001"), noting("flights-00002")) == (False, False)
        canary["spec"]["predictor"]["logger"] = {"mode": "all"}
        serving.apply(canary)
        assert (noting("flights-00001"), noting("flights-00002")) == (True, True)
        assert traffic(serving.get("flights")) == {"flights-00002": 10, "flights-00001": 90}


def test_a_log_goes_to_the_lake_or_is_refused(cluster: ClusterInMemory) -> None:
    document = edits.new("a", "models:/a/1")
    document["spec"]["predictor"]["logger"] = {"mode": "all"}
    away = edits.new("a", "models:/a/1")
    away["spec"]["predictor"]["logger"] = {"mode": "all", "url": "http://elsewhere.example"}
    for log, asked, said in (((), document, "logger"), (LOG, away, "logger.url")):
        with (
            ClusterDeployments(context(log=log), lambda: cluster) as serving,  # type: ignore[arg-type, return-value]
            pytest.raises(MillpondError, match=f"asks for {said}, which is not done"),
        ):
            serving.apply(asked)


def answered(cluster: ClusterInMemory, text: str, size: int = 8) -> None:
    """What the Job that reads the lake says, in lines of its log."""
    coded = base64.b64encode(text.encode()).decode()
    lines = [coded[start : start + size] for start in range(0, len(coded), size)]
    cluster.said = ["a warning", *(f"answer:{line}" for line in lines)]
    cluster.answers["ask"] = {"exitCode": 0, "message": json.dumps({"lines": len(lines)})}


def test_what_the_log_says_is_read_in_the_cluster(cluster: ClusterInMemory) -> None:
    with ClusterDeployments(context(log=LOG), lambda: cluster) as serving:  # type: ignore[arg-type, return-value]
        deployed(serving, cluster)
        serving.apply(edits.shadow(edits.new("flights", "models:/flights/2"), 40))
        cluster.ready.add("flights-00002")
        assert traffic(serving.get("flights"))
        answered(cluster, '{"agreement": 1.0}')
        made: list[Data] = []
        delete = cluster.delete

        async def kept(obj: Data, **options: Any) -> bool:
            made.extend([obj] if obj["kind"] == "Job" else [])
            return await delete(obj, **options)

        cluster.delete = kept  # type: ignore[method-assign]
        assert serving.measured("flights", "compare", since="1h", tolerance=None) == {"agreement": 1.0}
        (container,) = made[0]["spec"]["template"]["spec"]["containers"]
        question = json.loads(container["command"][-1])
        assert (question["what"], question["query"]) == ("compare", {"since": "1h"})
        settings = question["settings"]
        assert (settings["primary"], settings["shadow"]) == ("flights-00001", "flights-00002")
        assert settings["mirror_percent"] == 40
        assert settings["shadow_since"] > 0
        assert {item["name"] for item in container["env"]} >= {"MILLPOND_LOG_BUCKET", "AWS_SECRET_ACCESS_KEY"}
        assert cluster.kinds("Job") == []
        answered(cluster, "<html>")
        assert serving.page("flights") == b"<html>"
        cluster.said.pop()
        with pytest.raises(MillpondError, match="was cut off"):
            serving.page("flights")


def test_measurements_say_what_they_need(serving: ClusterDeployments, cluster: ClusterInMemory) -> None:
    with pytest.raises(ServingError, match="there is no deployment flights"):
        serving.measured("flights", "drift")
    deployed(serving, cluster)
    with pytest.raises(MillpondError, match="serving has no lake"):
        serving.measured("flights", "drift")
