"""Why a pod is not ready, told in words with the fix."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kubernetes.engine.platforms import obj
from millpond.targets.kubernetes.engine.diagnosis import diagnose
from millpond.targets.kubernetes.engine.difference import changed, differences
from millpond.targets.kubernetes.engine.gates import gate


def pod(waiting: str = "", message: str = "", **status: Any) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": "r/x:1", "ready": False, "restartCount": 0}
    container["state"] = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    container.update(status.pop("container", {}))
    return obj(
        "v1", "Pod", "a-1", "a", status={"phase": "Pending", "containerStatuses": [container], **status}
    )


def event(name: str, reason: str, message: str, **about: str) -> dict[str, Any]:
    return {"involvedObject": {"name": name, **about}, "reason": reason, "message": message}


def unscheduled(message: str) -> dict[str, Any]:
    found = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return obj("v1", "Pod", "a-1", "a", status={"phase": "Pending", "conditions": [found]})


DEPLOYMENT = obj("apps/v1", "Deployment", "a", "a", spec={})
CRASH = {"restartCount": 4, "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}}}
OOM = {"restartCount": 4, "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}


@pytest.mark.parametrize(
    ("pods", "events", "told", "hint"),
    [
        (
            [pod("ImagePullBackOff", "Back-off pulling image")],
            [event("a-1", "Failed", 'Failed to pull image "r/x:1": not found')],
            "container main: the image r/x:1 cannot be pulled: Failed to pull",
            "millpond images --build --push",
        ),
        (
            [pod("ErrImagePull", "pull access denied: unauthorized")],
            [],
            "the image r/x:1 cannot be pulled",
            "pull_secrets",
        ),
        ([pod("ErrImageNeverPull")], [], "is not on the node", "import it"),
        ([pod("InvalidImageName")], [], "is no name of an image", "registry"),
        (
            [pod("CreateContainerConfigError", 'secret "a-secrets" not found')],
            [],
            "the Secret a-secrets is not there",
            "millpond up",
        ),
        (
            [pod("CreateContainerConfigError", "couldn't find key pw in Secret mill/a-secrets")],
            [],
            "the Secret a-secrets has no key pw",
            "millpond up",
        ),
        (
            [
                unscheduled(
                    "0/1 nodes are available: 1 Insufficient memory, 1 Insufficient cpu. preemption: no."
                )
            ],
            [],
            "finds no node with enough cpu and memory",
            "resources",
        ),
        (
            [unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")],
            [],
            "finds no node with enough GPUs",
            "nodes",
        ),
        (
            [unscheduled("0/2 nodes are available: 2 node(s) had untolerated taint {dedicated: gpu}.")],
            [],
            "bears no node's taints",
            "toleration",
        ),
        (
            [unscheduled("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.")],
            [],
            "finds no node with the labels",
            "label",
        ),
        (
            [unscheduled("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.")],
            [],
            "PersistentVolumeClaim a-data is unbound: the cluster has no default StorageClass",
            "storage_class",
        ),
        (
            [unscheduled("pod has unbound immediate PersistentVolumeClaims")],
            [event("a-data", "ProvisioningFailed", "no zone left")],
            "its volume cannot be made: no zone left",
            "storage class",
        ),
        ([pod("CrashLoopBackOff", container=CRASH)], [], "ends with exit code 3", "last lines"),
        ([pod("CrashLoopBackOff", container=OOM)], [], "killed for want of memory (OOMKilled)", "memory"),
        (
            [pod()],
            [event("a-1", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")],
            "its readiness probe fails: HTTP probe failed with statuscode: 500",
            "start_timeout",
        ),
        (
            [],
            [event("a-5f9", "FailedCreate", 'forbidden: violates PodSecurity "restricted:latest": root')],
            'Deployment a: its pods are refused: one violates PodSecurity "restricted:latest": root',
            "stricter",
        ),
        (
            [],
            [event("a-5f9", "FailedCreate", "forbidden: exceeded quota: q, requested: cpu=2")],
            "Deployment a: its pods are refused: exceeded quota: q, requested: cpu=2",
            "quota",
        ),
    ],
)
def test_a_cause_is_told_with_its_fix(pods: Any, events: Any, told: str, hint: str) -> None:
    claim = obj("v1", "PersistentVolumeClaim", "a-data", "a", spec={}, status={"phase": "Pending"})
    found = diagnose([DEPLOYMENT], pods, events, [claim])
    assert found is not None
    assert told in found.message
    assert hint in found.hint


def test_an_init_container_that_fails_is_named_as_one() -> None:
    init = {"name": "prepare", "image": "x", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, **CRASH}
    found = diagnose([], [obj("v1", "Pod", "a-1", "a", status={"initContainerStatuses": [init]})], [])
    assert found is not None
    assert found.message == "Pod a-1, init container prepare ends with exit code 3"
    assert found.log == ("a-1", "prepare", True)


def test_nodes_that_are_on_their_way_are_waited_for() -> None:
    lacking = unscheduled("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.")
    found = diagnose([], [lacking], [event("a-1", "TriggeredScaleUp", "pod triggered scale-up")])
    assert found is not None
    assert found.patience is None


def test_a_starting_pod_is_no_cause() -> None:
    assert diagnose([DEPLOYMENT], [pod("ContainerCreating")], []) is None


@pytest.mark.parametrize(
    ("kind", "status", "ready", "failed"),
    [
        ("Deployment", {"observedGeneration": 1}, False, False),
        (
            "Deployment",
            {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 1},
            True,
            False,
        ),
        (
            "Deployment",
            {"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1, "replicas": 2},
            False,
            False,
        ),
        ("Job", {"conditions": [{"type": "Complete", "status": "True"}]}, True, False),
        (
            "Job",
            {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]},
            False,
            True,
        ),
        (
            "Kafka",
            {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]},
            False,
            False,
        ),
        (
            "Kafka",
            {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]},
            True,
            False,
        ),
        ("HTTPRoute", {}, True, False),
        (
            "HTTPRoute",
            {
                "parents": [
                    {"conditions": [{"type": "Accepted", "status": "False", "message": "no listener"}]}
                ]
            },
            False,
            False,
        ),
        ("PersistentVolumeClaim", {"phase": "Pending"}, True, False),
    ],
)
def test_when_an_object_is_ready(kind: str, status: dict[str, Any], ready: bool, failed: bool) -> None:
    wished = obj("x/v1", kind, "a", "a", spec={"replicas": 1}, status=status)
    wished["metadata"]["generation"] = 2
    found = gate(wished)
    assert (found.ready, found.failed) == (ready, failed)
    assert found.ready or found.message


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-3, 3) | some.text("ab.\n", max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3) | some.dictionaries(some.text("ab/", min_size=1, max_size=2), inner)
    ),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_a_difference_is_told_exactly_when_there_is_one(old: Any, new: Any) -> None:
    left, right = obj("v1", "X", "a", "a", spec=old), obj("v1", "X", "a", "a", spec=new)
    assert bool(differences(left, right)) == changed(left, right) == (old != new)


def test_no_text_of_a_secret_is_told() -> None:
    old, new = (obj("v1", "Secret", "a", "a", data={"pw": text}) for text in ("b2xk", "bmV3"))
    assert differences(old, new) == ["data.pw differs"]
