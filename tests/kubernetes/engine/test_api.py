"""The API client on a mock: watches that go on, retries, lists in pieces, errors in words."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubernetes.engine.mockserver import MockServer
from kubernetes.engine.platforms import NAME, obj, run
from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.api import ApiError, Cluster, Conflict
from millpond.targets.kubernetes.api.errors import refused
from millpond.targets.kubernetes.api.kubeconfig import load

NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}


def config_map(name: str, value: str = "1") -> dict[str, Any]:
    return obj("v1", "ConfigMap", name, "x", data={"a": value})


async def seen(events: Any, number: int) -> list[tuple[str, str]]:
    return [
        (event.type, event.object["metadata"]["name"] if event.object else "")
        for event in [await anext(events) for _ in range(number)]
    ]


def test_a_watch_goes_on_over_closed_connections_and_expired_versions() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        await cluster.create(config_map("a"))
        events = cluster.watch("v1", "ConfigMap")
        assert await seen(events, 2) == [("ADDED", "a"), ("SYNCED", "")]
        await cluster.create(config_map("b"))
        assert await seen(events, 1) == [("ADDED", "b")]
        server.cut()
        await cluster.apply(config_map("b", "2"), force=True)
        assert await seen(events, 1) == [("MODIFIED", "b")]
        # What happens while its version expires is told after the new list, deletions too.
        server.store("configmaps", NAME, server.objects["configmaps", NAME, "a"], "DELETED")
        server.expire()
        assert await seen(events, 1) == [("DELETED", "a")]
        await server.stop()
        await server.start()
        await cluster.create(config_map("c"))
        assert await seen(events, 1) == [("ADDED", "c")]
        await events.aclose()  # type: ignore[attr-defined]

    run(test)


def test_a_list_comes_whole_though_in_pieces() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        for number in range(8):
            await cluster.create(config_map(f"n{number}"))
        found = await cluster.list("v1", "ConfigMap")
        assert [item["metadata"]["name"] for item in found] == [f"n{number}" for number in range(8)]
        assert found[0]["kind"] == "ConfigMap"
        expired = iter([True])

        def fault(method: str, path: str, params: dict[str, str]) -> Any:
            if "continue" in params and next(expired, False):
                return 410, {}, {"reason": "Expired", "message": "too old"}
            return None

        server.faults.append(fault)
        assert len(await cluster.list("v1", "ConfigMap")) == 8

    run(test)


def test_retry_after_is_kept_to() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        loop, times = asyncio.get_running_loop(), []

        def fault(method: str, path: str, params: dict[str, str]) -> Any:
            if method == "GET" and path.endswith("/configmaps/a"):
                times.append(loop.time())
                return (429, {"Retry-After": "1"}, {}) if len(times) == 1 else None
            return None

        server.faults.append(fault)
        assert await cluster.get("v1", "ConfigMap", "a") is None
        assert times[1] - times[0] >= 0.8

    run(test)


def test_a_server_that_stays_broken_is_told() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        server.faults.append(lambda *_: (500, {}, {"message": "etcd is away"}))
        with pytest.raises(ApiError, match="ConfigMap a: the API server cannot get it: etcd is away"):
            await cluster.get("v1", "ConfigMap", "a")

    run(test, patience=0.5)


def test_a_server_that_is_not_there_is_told_with_its_context() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await server.stop()
        with pytest.raises(ApiError, match=r"nothing answers at http://127\.0\.0\.1:\d+, .* context mock"):
            await cluster.version()

    run(test, patience=0.3)


def test_a_conflict_names_manager_and_field() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        await cluster.apply(config_map("a"))
        server.edit("configmaps", "a", lambda found: found["data"].update(a="9"), "kubectl-edit", "data.a")
        with pytest.raises(Conflict, match=r"ConfigMap a: others have set data\.a \(set by kubectl-edit\)"):
            await cluster.apply(config_map("a"))
        dry = await cluster.apply(config_map("a"), force=True, dry_run=True)
        assert dry["data"] == {"a": "1"}
        assert server.get("configmaps", "a")["data"] == {"a": "9"}  # type: ignore[index]

    run(test)


def test_a_kind_that_is_not_served_names_what_brings_it() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        assert not await cluster.serves("kafka.strimzi.io/v1", "Kafka")
        assert await cluster.serves("apps/v1", "Deployment")
        with pytest.raises(ApiError) as caught:
            await cluster.list("kafka.strimzi.io/v1", "Kafka")
        assert "Strimzi" in str(caught.value.hint)

    run(test)


def test_deleting_is_only_of_the_one_that_was_seen() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create(NAMESPACE)
        made = await cluster.create(config_map("a"))
        assert not await cluster.delete(config_map("a"), uid="another")
        assert await cluster.delete(config_map("a"), uid=made["metadata"]["uid"])
        assert not await cluster.delete(config_map("a"))

    run(test)


def test_the_lines_of_a_log() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        server.logs["p"] = "one\ntwo\n"
        assert [line async for line in cluster.logs("p", "main", lines=2)] == ["one", "two"]

    run(test)


@pytest.mark.parametrize(
    ("code", "message", "told", "hint"),
    [
        (
            403,
            'deployments.apps "a" is forbidden: User "eve" cannot patch resource "deployments" in API group '
            '"apps" in the namespace "mill"',
            "Deployment a: eve may not patch deployments.apps in the namespace mill",
            "role",
        ),
        (
            403,
            'pods "a" is forbidden: exceeded quota: q, requested: cpu=2, used: cpu=1, limited: cpu=2',
            "Deployment a: exceeded quota: q, requested: cpu=2, used: cpu=1, limited: cpu=2",
            "quota",
        ),
        (
            403,
            "unable to create new content in namespace mill because it is being terminated",
            "Deployment a: its namespace is being deleted",
            "wait",
        ),
        (
            401,
            "Unauthorized",
            "Deployment a: the cluster of the context prod does not know who is asking",
            "sign",
        ),
        (
            422,
            "ValidatingAdmissionPolicy 'no-root' with binding 'b' denied request: not as root",
            "Deployment a: the policy no-root refuses it: not as root",
            "policy",
        ),
        (
            400,
            'admission webhook "validation.gatekeeper.sh" denied the request: [labels] needs owner',
            "Deployment a: the admission webhook validation.gatekeeper.sh refuses it: [labels] needs owner",
            "policy",
        ),
    ],
)
def test_what_is_refused_is_told_in_words(code: int, message: str, told: str, hint: str) -> None:
    error = refused(code, {"message": message}, "apply", "Deployment a", "prod")
    assert error.message == told
    assert hint in str(error.hint)


def test_fields_that_are_not_valid_are_all_told() -> None:
    causes = [{"field": "spec.a", "message": "is wrong"}, {"field": "spec.b", "message": "too"}]
    error = refused(422, {"details": {"causes": causes}}, "apply", "Service a", "prod")
    assert error.message == "Service a: the API server does not take it: 2 fields are not valid"
    assert error.details == ("spec.a: is wrong", "spec.b: too")


# --- kubeconfigs ------------------------------------------------------------------------------------------


def kubeconfig(path: Path, *names: str) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": names[0],
                "clusters": [{"name": n, "cluster": {"server": f"https://{n}:6443"}} for n in names],
                "users": [{"name": n, "user": {"token": n}} for n in names],
                "contexts": [{"name": n, "context": {"cluster": n, "user": n}} for n in names],
            }
        )
    )
    return path


def test_contexts_are_found_and_mistyped_ones_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = kubeconfig(tmp_path / "one", "prod"), kubeconfig(tmp_path / "two", "staging", "prod")
    assert load("", one).context_name == "prod"
    monkeypatch.setenv("KUBECONFIG", f"{one}:{two}")
    assert load("staging").cluster.server == "https://staging:6443"
    assert load().context_name == "prod"
    with pytest.raises(MillpondError, match="has no context stagin") as caught:
        load("stagin")
    assert caught.value.hint == "did you mean staging?"
    with pytest.raises(MillpondError, match="there is no kubeconfig at"):
        load("", tmp_path / "none")
    (tmp_path / "bad").write_text("[1")
    with pytest.raises(MillpondError, match="is not a kubeconfig"):
        load("", tmp_path / "bad")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_credential_plugin_gives_the_token(version: str, tmp_path: Path) -> None:
    plugin = tmp_path / "login"
    plugin.write_text(
        f"#!{sys.executable}\nimport json, os\n"
        "asked = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "print(json.dumps({**asked, 'status': {'token': 'let-me-in'}}))\n"
    )
    plugin.chmod(0o755)

    async def test(server: MockServer, cluster: Cluster) -> None:
        api = f"client.authentication.k8s.io/{version}"
        config = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": cluster.server}}],
            "users": [{"name": "u", "user": {"exec": {"apiVersion": api, "command": "./login"}}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "mine"}}],
        }
        (tmp_path / "config").write_text(yaml.safe_dump(config))
        async with Cluster.connect(kubeconfig=tmp_path / "config") as other:
            assert other.namespace == "mine"
            assert await other.version() == "v1.36.0"
        plugin.write_text("#!/bin/sh\necho no session >&2; exit 3\n")
        async with Cluster.connect(kubeconfig=tmp_path / "config") as other:
            with pytest.raises(MillpondError, match="ended with 3") as caught:
                await other.version()
            assert caught.value.details == ("no session",)

    run(test)


def test_without_the_extra_one_sentence_says_so() -> None:
    code = (
        "import sys; sys.modules['lightkube'] = None; sys.modules['httpx2'] = None\n"
        "from millpond.model.errors import MillpondError\n"
        "from millpond.targets.kubernetes.api import Cluster\n"
        "from millpond.targets.kubernetes.engine import Engine\n"
        "try:\n    Cluster.connect()\nexcept MillpondError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "pip install 'millpond[kubernetes]'\n"
