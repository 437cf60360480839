"""Plan, apply, prune, drift, rollback and destroy, on a mock of the API server."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from kubernetes.engine.mockserver import MockServer
from kubernetes.engine.platforms import NAME, bundle, obj, run, unit, up
from millpond.model.component import Chart
from millpond.model.errors import MillpondError
from millpond.model.events import ComponentEvent, Phase
from millpond.model.plan import Act, Plan
from millpond.targets.kubernetes.api import ApiError, Cluster
from millpond.targets.kubernetes.bundle import Release, Unit
from millpond.targets.kubernetes.engine import Engine, NotReadyError

A, B = unit("a", job=True, claim=True), unit("b", waits_for=("a",))


def acts(plan: Plan) -> dict[str, Act]:
    return {change.component: change.act for change in plan.changes}


def writes(server: MockServer) -> list[str]:
    return [
        f"{method} {path}"
        for method, path, params in server.requests
        if method != "GET" and "dryRun" not in params
    ]


def test_up_brings_everything_in_order_and_a_second_one_changes_nothing() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        events = await up(cluster, bundle(A, B))
        assert {name: found[-1].phase for name, found in events.items()} == dict.fromkeys(
            ("platform", "a", "b"), Phase.READY
        )
        made = writes(server)
        at = {
            name: next(i for i, text in enumerate(made) if text.endswith(name))
            for name in ("secrets", "deployments/a", "jobs/a-job", "deployments/b")
        }
        assert list(at) == sorted(at, key=at.__getitem__)
        server.requests.clear()
        plan = await Engine(cluster, bundle(A, B)).plan()
        assert plan.empty
        assert acts(plan) == dict.fromkeys(("platform", "a", "b"), Act.KEEP)
        await up(cluster, bundle(A, B))
        assert writes(server) == []

    run(test)


def test_a_plan_changes_nothing_and_tells_which_field_differs() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        assert acts(await Engine(cluster, bundle(A)).plan()) == {"platform": Act.START, "a": Act.START}
        assert writes(server) == []
        await up(cluster, bundle(A))
        server.requests.clear()
        plan = await Engine(cluster, bundle(unit("a", "2", job=True, claim=True))).plan()
        reasons = next(change.reasons for change in plan.changes if change.component == "a")
        assert "ConfigMap a-files: data[a.txt] 1 → 2" in reasons
        assert "Deployment a: spec.template.spec.containers[main].env[A].value 1 → 2" in reasons
        assert "Job a-job: spec.template cannot change, so it is made anew" in reasons
        assert writes(server) == []

    run(test)


def test_drift_is_told_with_its_manager_and_brought_back() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A))

        def scale(found: dict[str, Any]) -> None:
            found["spec"]["replicas"] = 3

        server.edit("deployments", "a", scale, "kubectl-edit", "spec.replicas")
        plan = await Engine(cluster, bundle(A)).plan()
        change = next(change for change in plan.changes if change.component == "a")
        assert change.reasons == ("Deployment a: drift: spec.replicas is 3, set by kubectl-edit",)
        await up(cluster, bundle(A))
        assert server.get("deployments", "a")["spec"]["replicas"] == 1  # type: ignore[index]
        assert (await Engine(cluster, bundle(A)).plan()).empty

    run(test)


def test_secrets_are_made_once_and_are_in_no_revision() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A))
        first = {
            key: base64.b64decode(text).decode()
            for key, text in server.get("secrets", "a-secrets")["data"].items()  # type: ignore[index]
        }
        assert len(first["password"]) == 40
        assert first["password"].isalnum()
        assert first["uri"] == f"pg://me:{first['password']}@db"
        server.get("secrets", "a-secrets")["data"].pop("uri")  # type: ignore[index]
        plan = await Engine(cluster, bundle(A)).plan()
        assert plan.changes[1].reasons == ("Secret a-secrets: uri to be made",)
        await up(cluster, bundle(A))
        again = server.get("secrets", "a-secrets")["data"]  # type: ignore[index]
        assert {key: base64.b64decode(text).decode() for key, text in again.items()} == first
        everything = str([o for o in server.objects.values() if o["kind"] != "Secret"])
        assert first["password"] not in everything
        assert again["password"] not in everything

    run(test)


def test_what_left_is_pruned_and_its_data_kept_and_what_is_not_ours_left_alone() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A, B))
        theirs = obj("v1", "ConfigMap", "argo", "gone")
        await cluster.create(theirs, manager="argocd")
        plan = await Engine(cluster, bundle(B)).plan()
        assert acts(plan) == {"platform": Act.KEEP, "b": Act.KEEP, "a": Act.STOP}
        events = await up(cluster, bundle(B))
        assert events["a"][-1].phase is Phase.STOPPED
        assert server.get("deployments", "a") is None
        assert server.get("services", "a") is None
        assert server.get("persistentvolumeclaims", "a-data")
        assert server.get("secrets", "a-secrets")
        assert server.get("configmaps", "argo")
        assert (await Engine(cluster, bundle(B)).plan()).empty

    run(test)


def test_an_object_of_somebody_else_is_refused_by_name() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(B))
        foreign = obj("v1", "Service", "a", "a", spec={"ports": [{"port": 1}]})
        foreign["metadata"]["labels"] = {}
        await cluster.create(foreign, manager="helm")
        with pytest.raises(MillpondError, match="Service a is there already") as caught:
            await up(cluster, bundle(A, B))
        assert "app.kubernetes.io/part-of=mill" in str(caught.value.hint)
        assert server.get("deployments", "a") is None

    run(test)


def test_a_failure_takes_only_dependants_along_and_the_next_up_goes_on() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        server.ready = lambda name: name != "a-job"
        c = unit("c")
        with pytest.raises(NotReadyError, match="what did not: a, b"):
            await up(cluster, bundle(A, B, c))
        assert server.get("deployments", "c")
        assert server.get("deployments", "b") is None
        plan = await Engine(cluster, bundle(A, B, c)).plan()
        assert "Job a-job is not ready: it failed as often as it may" in str(plan.changes[1].reasons)
        server.ready = lambda _: True
        await up(cluster, bundle(A, B, c))
        assert (await Engine(cluster, bundle(A, B, c)).plan()).empty

    run(test)


def test_jobs_of_an_earlier_wiring_go_even_when_the_new_one_does_not_come_up() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A))
        (job,) = A.then
        renamed = {**job, "metadata": {**job["metadata"], "name": "a-job-2"}}
        server.ready = lambda name: name != "a-job-2"
        with pytest.raises(NotReadyError):
            await up(cluster, bundle(Unit("a", unit("a", value="2", claim=True).objects, (renamed,))))
        assert server.get("jobs", "a-job") is None
        assert server.get("persistentvolumeclaims", "a-data") is not None

    run(test)


def test_a_job_that_fails_shows_its_last_lines() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        server.ready = lambda name: name != "a-job"
        ended = {"exitCode": 3, "reason": "Error"}
        container = {"name": "main", "restartCount": 0, "state": {"terminated": ended}}
        pod = obj("v1", "Pod", "a-job-x", "a", status={"phase": "Failed", "containerStatuses": [container]})
        pod["metadata"]["labels"] = {"batch.kubernetes.io/job-name": "a-job"}
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
        await cluster.create(pod)
        server.logs["a-job-x"] = "no such database\n"
        events: list[ComponentEvent] = []
        with pytest.raises(NotReadyError):
            await Engine(cluster, bundle(A)).apply(events.append)
        failed = next(event for event in events if event.phase is Phase.FAILED)
        assert failed.message == "a: Pod a-job-x, container main ends with exit code 3"
        assert failed.details == ("no such database",)
        assert {found.state for found in await Engine(cluster, bundle(A)).status()} == {"failed"}

    run(test)


def test_a_cancelled_up_is_gone_on_with() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        server.ready = lambda _: False
        begun = asyncio.Event()

        def listen(event: Any) -> None:
            if "pods are" in event.message or "looked at" in event.message:
                begun.set()

        task = asyncio.create_task(Engine(cluster, bundle(A, B)).apply(listen))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) - len(server._writers) <= 1
        server.ready = lambda _: True
        server.settle("deployments", NAME, server.get("deployments", "a"))  # type: ignore[arg-type]
        await up(cluster, bundle(A, B))
        assert (await Engine(cluster, bundle(A, B)).plan()).empty

    run(test)


def test_a_server_that_dies_half_way_and_comes_back() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        died = asyncio.Event()

        def die(method: str, path: str, params: dict[str, str]) -> Any:
            if method == "PATCH" and path.endswith("deployments/a") and "dryRun" not in params:
                server.faults.clear()
                died.set()

        server.faults.append(die)

        async def kill() -> None:
            await died.wait()
            await server.stop()
            await server.start()

        await asyncio.gather(up(cluster, bundle(A, B)), kill())
        assert (await Engine(cluster, bundle(A, B)).plan()).empty

    run(test)


@pytest.mark.parametrize(
    ("code", "headers"), [(429, {"Retry-After": "0"}), (500, {}), (503, {"Retry-After": "0"}), (504, {})]
)
def test_a_busy_or_broken_server_is_asked_again(code: int, headers: dict[str, str]) -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        seen: set[str] = set()

        def fault(method: str, path: str, params: dict[str, str]) -> Any:
            key = f"{method} {path} {'dryRun' in params}"
            if method != "GET" and len(seen) < 4 and key not in seen:
                seen.add(key)
                return code, headers, {"message": "not now"}
            return None

        server.faults.append(fault)
        await up(cluster, bundle(A))
        assert len(seen) == 4

    run(test)


def test_rollback_brings_back_what_was_before() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A))
        newer = bundle(unit("a", "2", job=True, claim=True))
        await up(cluster, newer)
        engine = Engine(cluster, newer)
        assert [found.number for found in await engine.revisions("a")] == [2, 1]
        assert (await engine.rollback("a")).number == 1
        assert server.get("configmaps", "a-files")["data"] == {"a.txt": "1"}  # type: ignore[index]
        with pytest.raises(MillpondError, match="a has no revision 9"):
            await engine.rollback("a", 9)

    run(test)


def test_down_and_destroy_with_and_without_data() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        engine = Engine(cluster, bundle(A, B))
        await up(cluster, bundle(A, B))
        await engine.down()
        kinds = {found["kind"] for found in server.objects.values()}
        assert kinds == {"Namespace", "Secret", "PersistentVolumeClaim", "ConfigMap", "ControllerRevision"}
        assert next(s for s in await engine.status() if s.name == "a").state == "stopped"
        assert (await engine.plan()).changes[1].reasons == ("not running",)
        await up(cluster, bundle(A, B))
        assert {found.state for found in await engine.status()} == {"ready"}
        await engine.destroy(keep_data=True)
        assert server.get("persistentvolumeclaims", "a-data")
        assert server.get("deployments", "a") is None
        await engine.destroy()
        assert server.objects == {}

    run(test)


def test_waiting_and_restarting() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        engine = Engine(cluster, bundle(A))
        with pytest.raises(MillpondError, match="a: Deployment a is not ready within 0 s"):
            await engine.wait(["a"], timeout=0.2)
        with pytest.raises(MillpondError, match="a is not running"):
            await engine.restart("a")
        await up(cluster, bundle(A))
        await engine.wait(timeout=5)
        await engine.restart("a", timeout=5)
        template = server.get("deployments", "a")["spec"]["template"]  # type: ignore[index]
        assert "millpond.dev/restarted-at" in template["metadata"]["annotations"]
        # A restart is nobody's drift, and the next apply leaves it.
        assert (await engine.plan()).empty

    run(test)


def test_a_namespace_that_was_there_stays() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
        await up(cluster, bundle(A))
        await Engine(cluster, bundle(A)).destroy()
        assert list(server.objects) == [("namespaces", "", NAME)]

    run(test)


def test_a_field_that_no_schema_knows_stops_the_plan() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A))
        bad = unit("b")
        bad.objects[0]["nonsense"] = 1
        with pytest.raises(ApiError, match=r"ConfigMap b-files: the API server does not take it: \.nonsense"):
            await Engine(cluster, bundle(A, bad)).plan()

    run(test)


def test_only_some_units_and_what_they_wait_for() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        await up(cluster, bundle(A, B, unit("c")), only=["b"])
        assert server.get("deployments", "a")
        assert server.get("deployments", "b")
        assert server.get("deployments", "c") is None
        with pytest.raises(MillpondError, match="no component of this platform is called d"):
            await up(cluster, bundle(A), only=["d"])

    run(test)


class MockReleases:
    """A mock of whoever installs charts; it remembers what it was told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.there: set[tuple[str, str, str]] = set()

    async def apply(self, release: Release, tell: Any) -> None:
        tell("installing")
        self.done.append(f"apply {release.name}")
        self.there.add(("b", release.name, release.namespace))

    async def differs(self, release: Release) -> str | None:
        return None if self.there else f"{release.name} is not installed"

    async def uninstall(self, name: str, namespace: str) -> None:
        self.done.append(f"uninstall {name}")
        self.there.clear()

    async def installed(self, platform: str) -> list[tuple[str, str, str]]:
        return sorted(self.there)

    async def rollback(self, name: str, namespace: str, revision: int) -> None:
        self.done.append(f"rollback {name}")


def test_a_chart_comes_between_objects_and_jobs_and_goes_when_it_left() -> None:
    async def test(server: MockServer, cluster: Cluster) -> None:
        releases = MockReleases()
        chart = Chart(repository="https://charts.example.org", name="x", version="1")
        b = Unit("b", unit("b").objects[:1], unit("b", job=True).then, (), Release("mill-b", NAME, chart, {}))
        whole = bundle(A, b)

        def engine(wished: Any = whole) -> Engine:
            return Engine(cluster, wished, releases=releases)

        assert [found.state for found in await engine().status()] == ["stopped", "stopped"]
        await engine().apply(lambda _: None)
        assert releases.done == ["apply mill-b"]
        assert (await engine().plan()).empty
        assert [found.state for found in await engine().status()] == ["ready", "ready"]
        assert acts(await engine(bundle(A)).plan())["b"] is Act.STOP
        await engine(bundle(A)).apply(lambda _: None)
        assert releases.done == ["apply mill-b", "uninstall mill-b"]
        assert server.get("configmaps", "b-files") is None

    run(test)
