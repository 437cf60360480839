"""A context, records, and a stand-in of the cluster's API that keeps objects in memory."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from millpond.model.cluster import Cluster as ClusterSettings
from millpond.model.cluster import Routes
from millpond.serving.cluster.context import Context
from millpond.serving.controller.revisions import model_part, settings_of
from millpond.serving.controller.store import Record, Replica, Revision
from millpond.serving.edits import new
from millpond.serving.inferenceservice import InferenceService

Data = dict[str, Any]
GATEWAY = Routes(kind="gateway", host="example.org", gateway="infra/public")
LAKE = (
    {"name": "AWS_ENDPOINT_URL", "value": "http://seaweedfs.demo.svc:8333"},
    {"name": "AWS_REGION", "value": "us-east-1"},
    {"name": "AWS_ACCESS_KEY_ID", "valueFrom": {"secretKeyRef": {"name": "lake", "key": "access"}}},
    {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "lake", "key": "secret"}}},
)
LOG = ({"name": "MILLPOND_LOG_BUCKET", "value": "predictions"}, *LAKE)


def context(routes: Routes = GATEWAY, **more: Any) -> Context:
    settings = ClusterSettings(routes=routes, pull_secrets=["registry"])
    found = {"platform": "demo", "namespace": "demo", "node": "serving", "image": "registry/serving:1"}
    return Context(**{**found, "cluster": settings, "lake": LAKE, "sessions": True, **more})


def record(document: Data, count: int = 1, candidate: bool = False) -> Record:
    """A deployment of so many revisions, the last ones live."""
    service = InferenceService.model_validate(document)
    name = service.metadata.name
    found = Record(name, "default", service.document(), uid="1", created="2026-11-01T00:00:00Z")
    found.annotations = dict(service.metadata.annotations)
    for number in range(1, count + 1):
        settings = settings_of(service)
        found.revisions.append(
            Revision(
                name=f"{name}-{number:05d}",
                number=number,
                key=str(number),
                uri=f"models:/{name}/{number}",
                digest=str(number),
                created="2026-11-01T00:00:00Z",
                settings=settings,
                spec=model_part(service.document()),
                version=str(number),
                replicas=[Replica(0, 8080, 8081 if settings["grpc"] else 0)],
            )
        )
    found.counter = count
    found.active = found.revisions[-2 if candidate else -1].name
    if candidate:
        found.candidate = found.revisions[-1].name
        found.percent = service.spec.predictor.canaryTrafficPercent or 0
    return found


@pytest.fixture
def flights() -> Data:
    return new("flights", "models:/flights/1")


class ClusterInMemory:
    """A stand-in of `api.Cluster`: objects as they were applied, and what a controller would have told.

    Args:
        kserve: whether it serves KServe's kinds.
        quick: whether pods are ready at once.
    """

    context = "stand-in"

    def __init__(self, kserve: bool = False, quick: bool = False) -> None:
        self.kserve = kserve
        self.quick = quick
        self.objects: dict[tuple[str, str], Data] = {}
        self.applied: list[tuple[str, str]] = []
        self.ready: set[str] = set()
        self.pods: dict[str, list[Data]] = {}
        self.answers: dict[str, Data] = {}
        """How a Job ends, by a word of its command."""
        self.said: list[str] = []
        """What a Job's log has."""

    async def aclose(self) -> None:
        pass

    async def serves(self, api_version: str, kind: str) -> bool:
        return self.kserve or "serving.kserve.io" not in api_version

    async def apply(self, obj: Data, *, force: bool = False, dry_run: bool = False) -> Data:
        kind, name = obj["kind"], obj["metadata"]["name"]
        self.applied.append((kind, name))
        found = copy.deepcopy(obj)
        before = self.objects.get((kind, name), {}).get("metadata", {}).get("generation", 0)
        found["metadata"] |= {"generation": before + 1, "resourceVersion": str(len(self.applied))}
        if kind == "HTTPRoute":
            accepted = {"type": "Accepted", "status": "True", "observedGeneration": before + 1}
            found["status"] = {"parents": [{"conditions": [accepted]}]}
        self.objects[kind, name] = found
        return copy.deepcopy(found)

    async def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Data | None:
        if kind == "CustomResourceDefinition":
            return {"metadata": {"annotations": {"gateway.networking.k8s.io/channel": "experimental"}}}
        found = copy.deepcopy(self.objects.get((kind, name)))
        if found and kind == "Deployment":
            count = found["spec"].get("replicas", 1) if self.quick or name in self.ready else 0
            generation = found["metadata"]["generation"]
            status = {"availableReplicas": count, "updatedReplicas": count, "observedGeneration": generation}
            found["status"] = status
        return found

    async def list(
        self,
        api_version: str,
        kind: str,
        *,
        namespace: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Data]:
        wanted = labels or {}
        if kind == "Pod":
            job = wanted.get("batch.kubernetes.io/job-name")
            if job:
                return [self._job(job)]
            return self.pods.get(wanted.get("millpond.dev/revision", ""), [])

        def fits(found: Data) -> bool:
            has = found["metadata"].get("labels", {})
            return all(key in has and value in ("", has[key]) for key, value in wanted.items())

        return [copy.deepcopy(each) for (has, _), each in self.objects.items() if has == kind and fits(each)]

    def _job(self, name: str) -> Data:
        (container,) = self.objects["Job", name]["spec"]["template"]["spec"]["containers"]
        told = next(found for word, found in self.answers.items() if word in container["command"])
        return {
            "metadata": {"name": name},
            "status": {"containerStatuses": [{"name": "job", "state": {"terminated": told}}]},
        }

    async def logs(self, pod: str, container: str = "", **_: Any) -> AsyncIterator[str]:
        for line in self.said:
            yield line

    async def delete(self, obj: Data, *, propagation: str = "Foreground", uid: str | None = None) -> bool:
        return self.objects.pop((obj["kind"], obj["metadata"]["name"]), None) is not None

    def kinds(self, kind: str) -> list[str]:
        """The names of all objects of a kind."""
        return sorted(name for has, name in self.objects if has == kind)
