"""What the pods of a revision are doing, in words; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Data = Mapping[str, Any]

_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_CONFIGURED = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_WHAT = {
    "fetch": "the model cannot be fetched",
    "log": "the predictions cannot be noted",
    "router": "the router does not start",
}
_TRIES = 2
"""Starts of a container after which a failure is one."""


@dataclass(frozen=True)
class State:
    """A revision's state.

    Args:
        ready: whether it answers with as many pods as it is meant to have.
        failed: whether it will not by itself.
        message: what it waits for, or why it failed.
    """

    ready: bool = False
    failed: bool = False
    message: str = ""


def state(deployment: Data | None, pods: Iterable[Data]) -> State:
    """The state of a revision, from its Deployment and the pods of it.

    Args:
        deployment: as the API has it; None when it is not there.
        pods: those of the revision that are not being deleted.
    """
    if deployment is None:
        return State(message="its Deployment is not there yet")
    status = deployment.get("status") or {}
    wanted = deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    updated = status.get("updatedReplicas", 0)
    # Pods of an earlier template count as available, too.
    replaced = updated >= wanted and status.get("replicas", 0) <= updated
    if seen and replaced and status.get("availableReplicas", 0) >= wanted:
        return State(ready=True)
    found = [pod_state(pod) for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    for each in found:
        if each.failed:
            return each
    for condition in status.get("conditions") or ():
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return State(failed=True, message=str(condition.get("message", "its pods are refused")))
    waiting = [each.message for each in found if not each.ready and each.message]
    return State(message=waiting[0] if waiting else "waiting for its pods")


def pod_state(pod: Data) -> State:
    """A pod's state."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return State(message=f"pod {name} has no node: {condition.get('message', 'unschedulable')}")
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        found = container_state(container, name)
        if found is not None and not found.ready:
            return found
    if all(each.get("ready") for each in status.get("containerStatuses") or ()):
        return State(ready=bool(status.get("containerStatuses")), message=f"pod {name} is starting")
    loads = any(each["name"] == "model" for each in status.get("containerStatuses") or ())
    return State(message="loading the model" if loads else f"pod {name} is starting")


def container_state(container: Data, pod: str) -> State | None:
    """A container's state; None when there is nothing to say."""
    state = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    before = (container.get("lastState") or {}).get("terminated") or {}
    reason = str(waiting.get("reason", ""))
    if reason in _IMAGE:
        told = waiting.get("message") or reason
        return State(failed=True, message=f"the image {container.get('image')} cannot be had: {told}")
    if reason in _CONFIGURED:
        return State(failed=True, message=f"{pod}: {waiting.get('message') or reason}")
    failure = ended if ended.get("exitCode") else before if reason == "CrashLoopBackOff" else {}
    if failure:
        said = (str(failure.get("message") or "").strip().splitlines() or [""])[-1]
        if failure.get("reason") == "OOMKilled":
            said = "it needed more memory than its limit"
        told = said or f"it ended with exit code {failure.get('exitCode')}"
        what = _WHAT.get(container["name"], "the model does not load")
        again = container.get("restartCount", 0) >= _TRIES or reason == "CrashLoopBackOff"
        return State(failed=again, message=f"{what}: {told}")
    if container["name"] == "fetch" and state.get("running"):
        return State(message="fetching the model")
    return None
