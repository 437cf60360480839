"""The platform's commands on a mock of the API server: messages, JSON, exit codes, which target is meant."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kubernetes.engine.mockserver import MockServer
from millpond.cli.exit_codes import ExitCode

from .conftest import NAMESPACE, Millpond


def test_a_platforms_life(server: MockServer, millpond: Millpond) -> None:
    plan = json.loads(millpond("plan", "--target", "kubernetes", "--json").out)
    assert {change["act"] for change in plan["changes"]} == {"start"}
    up = millpond("up", "--target", "kubernetes")
    assert up.code == ExitCode.OK, up.err
    assert f"{NAMESPACE} up after" in up.err

    # The target is remembered from here on.
    shown = json.loads(millpond("status", "--json").out)["components"]
    assert [(each["name"], each["state"]) for each in shown] == [("store", "ready")]
    assert "nothing to do" in millpond("plan").out
    assert "nothing to do" in millpond("up").err
    assert "store is ready" in millpond("wait", "store").err
    assert "because" in millpond("why", "store").out

    assert millpond("down").code == ExitCode.OK
    assert server.get("secrets", "store-secrets") is not None
    assert server.get("statefulsets", "store") is None


def test_secrets_are_printed_where_they_are_asked_for_and_nowhere_else(
    server: MockServer, millpond: Millpond
) -> None:
    up = millpond("up", "--target", "kubernetes", "--json")
    found = json.loads(millpond("credentials", "store", "--json").out)
    assert found["username"] == "somebody"
    assert len(found["password"]) == 28
    for said in (up, millpond("plan", "--json"), millpond("status", "--json"), millpond("why", "store")):
        assert found["password"] not in said.out + said.err


def test_destroy_forgets_the_target_and_down_does_not(
    server: MockServer, millpond: Millpond, project: Path
) -> None:
    remembered = project / ".millpond/target.json"
    millpond("up", "--target", "kubernetes")
    millpond("down")
    # The data is still there, and `up` has to find it.
    assert json.loads(remembered.read_text())["target"] == "kubernetes"
    assert millpond("destroy", "--yes").code == ExitCode.OK
    assert not remembered.exists()


def test_destroy_lists_asks_and_deletes(server: MockServer, millpond: Millpond) -> None:
    millpond("up", "--target", "kubernetes")
    asked = millpond("destroy")
    assert asked.code == ExitCode.USAGE
    assert "store-data" in asked.err
    assert server.get("persistentvolumeclaims", "store-data") is not None
    assert millpond("destroy", "--keep-data", "--yes").code == ExitCode.OK
    assert server.get("statefulsets", "store") is None
    assert server.get("persistentvolumeclaims", "store-data") is not None
    assert millpond("destroy", "--target", "kubernetes", "--yes").code == ExitCode.OK
    assert server.get("persistentvolumeclaims", "store-data") is None


def _pod(server: MockServer, name: str, container: str = "store") -> None:
    labels = {
        "app.kubernetes.io/part-of": NAMESPACE,
        "app.kubernetes.io/instance": "store",
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {"containers": [{"name": container}]},
    }
    server.store("pods", NAMESPACE, pod, "ADDED")


def test_logs_name_the_pod_where_there_are_several(server: MockServer, millpond: Millpond) -> None:
    millpond("up", "--target", "kubernetes")
    _pod(server, "store-0")
    server.logs["store-0"] = "opened\nlistens\n"
    assert millpond("logs", "store").out.splitlines() == ["opened", "listens"]
    _pod(server, "store-1")
    server.logs["store-1"] = "joined\n"
    assert set(millpond("logs", "store", "--follow").out.splitlines()) == {
        "store-0/store │ opened",
        "store-0/store │ listens",
        "store-1/store │ joined",
    }
    assert millpond("logs", "store/other").code == ExitCode.FAILED


def test_following_asks_for_the_stream(server: MockServer, millpond: Millpond) -> None:
    millpond("up", "--target", "kubernetes")
    _pod(server, "store-0")
    millpond("logs", "store", "--follow", "-n", "7")
    (asked,) = [params for _, path, params in server.requests if path.endswith("/log")]
    assert (asked["follow"], asked["tailLines"]) == ("true", "7")


def test_the_dashboard_is_found_where_it_is_and_led_to_by_kubectl(
    server: MockServer, millpond: Millpond, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin/kubectl"
    fake.parent.mkdir()
    fake.write_text(
        "#!/bin/sh\n"
        '[ "$1" = version ] && { echo \'{"clientVersion": {"gitVersion": "v1.36.0"}}\'; exit; }\n'
        f'echo "$@" > {tmp_path}/asked\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    said = millpond("dashboard", "--target", "kubernetes")
    assert said.code == ExitCode.FAILED
    assert "no Kubernetes dashboard" in said.err

    name, namespace = "kubernetes-dashboard-kong-proxy", "kubernetes-dashboard"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
    }
    server.store("services", namespace, service, "ADDED")
    said = millpond("dashboard", "--target", "kubernetes", "--port", "8123")
    assert said.code == ExitCode.OK, said.err
    path = f"api/v1/namespaces/{namespace}/services/https:{name}:443/proxy/"
    assert said.out == f"http://127.0.0.1:8123/{path}\n"
    assert (tmp_path / "asked").read_text() == "proxy --address=127.0.0.1 --port=8123\n"


def test_env_wants_addresses_that_reach_the_cluster(server: MockServer, millpond: Millpond) -> None:
    millpond("up", "--target", "kubernetes")
    said = millpond("env")
    assert (said.code, said.out) == (ExitCode.FAILED, "")
    assert "no ports of mill are forwarded" in said.err
    assert "`millpond forward --background`" in said.err


def test_an_unknown_context_is_named(server: MockServer, millpond: Millpond) -> None:
    said = millpond("plan", "--context", "mok")
    assert said.code == ExitCode.FAILED
    assert "mok" in said.err
    assert "mock" in said.err


def test_a_component_that_is_not_there_is_named(server: MockServer, millpond: Millpond) -> None:
    for words in (["up", "stroe"], ["restart", "stroe"], ["logs", "stroe"], ["wait", "stroe"]):
        said = millpond(*words, "--target", "kubernetes")
        assert said.code == ExitCode.FAILED, words
        assert "did you mean store?" in said.err, words


def test_what_is_for_a_cluster_says_so(millpond: Millpond) -> None:
    assert "for a cluster" in millpond("destroy", "--keep-data").err
    assert "--target kubernetes" in millpond("up", "store", "--rollback").err


def test_render_writes_into_the_folder_that_is_meant(millpond: Millpond, project: Path) -> None:
    found = json.loads(millpond("render", "-o", "tree", "--json").out)
    written = [Path(path) for path in found["files"]]
    assert all(path.is_file() and project in path.parents for path in written)
    assert "kubectl apply --server-side -R -f tree" in millpond("render", "-o", "tree").err
    assert "kind: StatefulSet" in millpond("render", "--stdout").out


def test_render_leaves_somebody_elses_folder_alone(millpond: Millpond, project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine/notes.txt").write_text("mine")
    said = millpond("render", "-o", "mine")
    assert said.code == ExitCode.FAILED
    assert "did not write" in said.err
    assert [path.name for path in (project / "mine").iterdir()] == ["notes.txt"]


def test_a_bare_render_asks_where_to(millpond: Millpond) -> None:
    assert millpond("render").code == ExitCode.USAGE
