"""A platform on a real cluster, through the command line; the tests stand in the order of its life."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from .conftest import Kubectl, Project, call, reached, until

pytestmark = pytest.mark.cluster


def test_a_plan_before_anything_is_there_changes_nothing(project: Project, cluster: Kubectl) -> None:
    acts = {each["component"]: each["act"] for each in project.json("plan")["changes"]}
    assert acts["shelf"] == acts["window"] == "start"
    names = [each["metadata"]["name"] for each in cluster.get("namespaces")["items"]]
    assert project.name not in names


def test_up_brings_it_up_in_order_and_tells_it(project: Project) -> None:
    lines = project.run("up", "--json").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    ready = [each["component"] for each in events if each.get("phase") == "ready"]
    assert ready.index("shelf") < ready.index("window")
    assert events[-1]["status"] == "ready"
    states = {each["name"]: each["state"] for each in project.json("status")["components"]}
    assert states == {"shelf": "ready", "window": "ready"}


def test_a_second_up_changes_nothing(project: Project, cluster: Kubectl) -> None:
    project.base()
    kinds = "deployments,statefulsets,services,configmaps,networkpolicies,jobs,secrets"

    def versions() -> dict[str, str]:
        items = cluster.get(kinds, "-n", project.name)["items"]
        return {
            f"{each['kind']}/{each['metadata']['name']}": each["metadata"].get("generation", "")
            or each["metadata"]["resourceVersion"]
            for each in items
        }

    before = versions()
    assert "nothing to do" in project.run("up").stderr
    assert versions() == before
    assert all(each["act"] == "keep" for each in project.json("plan")["changes"])


def test_files_secrets_and_the_wiring_arrive(project: Project) -> None:
    project.base()
    with project.forwarded("window") as url:
        assert call("GET", f"{url}/") == (200, "good morning")
        # The window has a key that the shelf was told of by a Job; without it the answer would be 403.
        assert call("GET", f"{url}/missing")[0] == 404
        assert call("PUT", f"{url}/list", b"bread")[0] == 204
        assert call("GET", f"{url}/list") == (200, "bread")
    with project.forwarded("shelf") as url:
        assert call("GET", f"{url}/motd") == (200, "hello")
        assert call("GET", f"{url}/notes-list")[0] == 403


def test_nothing_secret_is_in_objects_that_are_no_secrets(project: Project, cluster: Kubectl) -> None:
    project.base()
    import base64

    values = {
        base64.b64decode(text).decode()
        for secret in cluster.get("secrets", "-n", project.name)["items"]
        for text in secret.get("data", {}).values()
    }
    assert values
    kinds = "deployments,statefulsets,services,configmaps,networkpolicies,jobs,controllerrevisions,pods"
    text = cluster("get", kinds, "-n", project.name, "-o", "yaml")
    assert not [value for value in values if value in text]


def test_logs_of_a_component(project: Project) -> None:
    project.base()
    assert "shows good morning" in project.run("logs", "window").stdout


def test_the_network_has_the_edges_of_the_wiring(project: Project, cluster: Kubectl) -> None:
    project.base()
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in cluster.get("networkpolicies", "-n", project.name)["items"]
    }
    assert "ingress" not in policies["closed"]
    ports = {
        (peer["podSelector"]["matchLabels"]["app.kubernetes.io/instance"], port["port"])
        for rule in policies["window"]["egress"]
        for peer in rule["to"]
        for port in rule.get("ports", [])
    }
    assert ports == {("shelf", 20900)}


def test_data_survives_a_restart(project: Project) -> None:
    project.base()
    with project.forwarded("window") as url:
        assert call("PUT", f"{url}/kept", b"still here")[0] == 204
    project.run("restart", "shelf")
    with project.forwarded("window") as url:
        assert reached(f"{url}/kept") == (200, "still here")


def test_one_component_is_upgraded_and_brought_back(project: Project) -> None:
    project.base()
    project.write(window={"greeting": "good night"})
    changes = {each["component"]: each for each in project.json("plan")["changes"]}
    assert changes["shelf"]["act"] == "keep"
    assert changes["window"]["act"] == "restart"
    project.run("up")
    with project.forwarded("window") as url:
        assert call("GET", f"{url}/") == (200, "good night")
    project.run("up", "window", "--rollback")
    with project.forwarded("window") as url:
        assert call("GET", f"{url}/") == (200, "good morning")


def test_an_upgrade_that_fails_is_told_in_words_and_the_old_one_serves(project: Project) -> None:
    project.base()
    project.write(window={"image": "localhost/millpond-nowhere:1"})
    done = project.run("up", check=False)
    assert done.returncode == 4
    assert "window" in done.stderr
    assert "localhost/millpond-nowhere:1" in done.stderr
    with project.forwarded("window") as url:
        assert call("GET", f"{url}/") == (200, "good morning")
    project.run("up", "window", "--rollback")
    project.base()
    assert {each["state"] for each in project.json("status")["components"]} == {"ready"}


def test_drift_is_shown_and_mended(project: Project, cluster: Kubectl) -> None:
    project.base()
    cluster("scale", "deployment/window", "-n", project.name, "--replicas=2")
    change = next(each for each in project.json("plan")["changes"] if each["component"] == "window")
    assert change["act"] != "keep"
    assert any("replicas" in reason for reason in change["reasons"])
    project.run("up")
    assert cluster.get("deployment", "window", "-n", project.name)["spec"]["replicas"] == 1


def test_what_is_not_ours_stays(project: Project, cluster: Kubectl) -> None:
    project.base()
    cluster("create", "configmap", "mine", "-n", project.name, "--from-literal=a=b")
    project.write(window=None)
    project.run("up")
    assert cluster.get("configmap", "mine", "-n", project.name)["data"] == {"a": "b"}
    cluster("delete", "configmap", "mine", "-n", project.name)


def test_what_left_the_flavour_is_pruned_and_its_data_kept(project: Project, cluster: Kubectl) -> None:
    project.base()
    with project.forwarded("window") as url:
        assert call("PUT", f"{url}/pruned", b"no, kept")[0] == 204
    project.write(window=None)
    stops = [each["component"] for each in project.json("plan")["changes"] if each["act"] == "stop"]
    assert stops == ["window"]
    project.run("up")
    names = [each["metadata"]["name"] for each in cluster.get("deployments", "-n", project.name)["items"]]
    assert "window" not in names
    project.base()
    with project.forwarded("window") as url:
        assert reached(f"{url}/pruned") == (200, "no, kept")


def test_down_keeps_the_data(project: Project, cluster: Kubectl) -> None:
    project.base()
    with project.forwarded("window") as url:
        assert call("PUT", f"{url}/night", b"quiet")[0] == 204
    project.run("down")
    kinds = "deployments,statefulsets,services"
    assert cluster.get(kinds, "-n", project.name)["items"] == []
    assert cluster.get("persistentvolumeclaims", "-n", project.name)["items"]
    project.run("up")
    with project.forwarded("window") as url:
        assert reached(f"{url}/night") == (200, "quiet")


def test_the_rendered_tree_comes_up_by_itself(project: Project, cluster: Kubectl, tmp_path: Path) -> None:
    """Applied by kubectl alone, at once: a Job makes the secrets, the rest waits for what it needs."""
    project.write(shelf={}, window={})
    namespace = f"{project.name}-tree-{secrets.token_hex(2)}"
    project.run("render", "-o", str(tmp_path / "tree"), "--namespace", namespace)
    # The claim's volume is the other platform's, so this one does without.
    for path in (tmp_path / "tree").rglob("*.yaml"):
        text = path.read_text()
        if "kind: PersistentVolumeClaim" in text:
            path.unlink()
        else:
            claim = "persistentVolumeClaim:\n          claimName: shelf-data"
            path.write_text(text.replace(claim, "emptyDir: {}"))
    try:
        cluster("apply", "--server-side", "-R", "-f", str(tmp_path / "tree"))
        found = until(
            180,
            lambda: cluster.get("deployment", "window", "-n", namespace)["status"].get("availableReplicas"),
        )
        assert found == 1
        until(
            120,
            lambda: all(
                job.get("status", {}).get("succeeded")
                for job in cluster.get("jobs", "-n", namespace)["items"]
            ),
        )
        text = "import urllib.request as u; print(u.urlopen('http://window:20910/').read().decode())"
        pod = ["exec", "-n", namespace, "deployment/window", "--", "python3", "-c", text]
        assert cluster(*pod).strip() == "good morning"
    finally:
        cluster("delete", "namespace", namespace, "--wait=false")


def test_destroy_may_keep_the_data(project: Project, cluster: Kubectl) -> None:
    project.base()
    with project.forwarded("window") as url:
        assert call("PUT", f"{url}/last", b"words")[0] == 204
    project.run("destroy", "--yes", "--keep-data")
    assert cluster.get("statefulsets,deployments", "-n", project.name)["items"] == []
    assert cluster.get("persistentvolumeclaims", "-n", project.name)["items"]
    project.run("up")
    with project.forwarded("window") as url:
        assert reached(f"{url}/last") == (200, "words")


def test_destroy_leaves_nothing(project: Project, cluster: Kubectl) -> None:
    project.base()
    project.run("destroy", "--yes")
    names = [each["metadata"]["name"] for each in cluster.get("namespaces")["items"]]
    assert project.name not in names
    assert "nothing to delete" in project.run("destroy", "--yes").stderr
