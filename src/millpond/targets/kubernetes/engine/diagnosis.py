"""Why a component is not ready, in words: what the cluster says about its pods, claims and events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from millpond.targets.kubernetes.bundle import Object


@dataclass(frozen=True)
class Finding:
    """A cause.

    Args:
        message: it, with the object that it befell.
        hint: what to do about it.
        patience: seconds after which waiting no longer helps; None when it may.
        log: pod, container and whether the one before, whose last lines say more.
    """

    message: str
    hint: str
    patience: float | None = None
    log: tuple[str, str, bool] | None = None


_CRASHES = 3
"""Restarts after which a container is not thought to come up by itself."""


def diagnose(
    owners: Iterable[Object], pods: Sequence[Object], events: Sequence[Object], claims: Sequence[Object] = ()
) -> Finding | None:
    """The gravest cause, or None when nothing speaks against waiting on.

    Args:
        owners: the workloads that are not ready.
        pods: those of the component.
        events: those of the namespace, oldest first.
        claims: the component's PersistentVolumeClaims.
    """
    found: list[Finding] = []
    for pod in pods:
        if not pod["metadata"].get("deletionTimestamp"):
            found += _pod(pod, _of(events, pod["metadata"]["name"]), claims, events)
    for owner in owners:
        found += _owner(owner, pods, events)
    found.sort(key=lambda one: 1e9 if one.patience is None else one.patience)
    return found[0] if found else None


def _of(events: Sequence[Object], name: str) -> list[Object]:
    return [event for event in events if (event.get("involvedObject") or {}).get("name") == name]


# --- workloads ----------------------------------------------------------------------------------------------


def _owner(owner: Object, pods: Sequence[Object], events: Sequence[Object]) -> Iterator[Finding]:
    """Pods that are refused leave an event at what should have made them, such as a ReplicaSet."""
    name, kind = owner["metadata"]["name"], owner["kind"]
    pattern = re.compile(rf"{re.escape(name)}(-[0-9a-z]+)?")
    if any(pattern.match(pod["metadata"]["name"]) and pod.get("status") for pod in pods):
        return
    for event in reversed(events):
        about = event.get("involvedObject") or {}
        if event.get("reason") != "FailedCreate" or not pattern.fullmatch(str(about.get("name"))):
            continue
        text = _plain(event.get("message"))
        if "violates PodSecurity" in text:
            told = text[text.index("violates PodSecurity") :]
            hint = "the namespace wants a stricter pod; mend the component, or the namespace's labels"
            yield Finding(f"{kind} {name}: its pods are refused: one {told}", hint, 5)
        elif "exceeded quota" in text:
            told = text[text.index("exceeded quota") :]
            hint = "lower resources or replicas in the flavour, or have the quota raised"
            yield Finding(f"{kind} {name}: its pods are refused: {told}", hint, 20)
        elif "serviceaccount" in text and "not found" in text:
            yield Finding(
                f"{kind} {name}: its pods are refused: {text}", "apply the ServiceAccount first", 30
            )
        else:
            hint = "mend what the message names; kubectl describe tells more"
            yield Finding(f"{kind} {name}: its pods are refused: {text}", hint, 20)
        return


# --- pods ---------------------------------------------------------------------------------------------------


def _pod(
    pod: Object, events: Sequence[Object], claims: Sequence[Object], every: Sequence[Object]
) -> Iterator[Finding]:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    if status.get("reason") == "Evicted":
        yield Finding(
            f"Pod {name} was evicted: {_plain(status.get('message'))}", "give it more memory or disk", None
        )
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition.get("status") == "False":
            yield _pending(pod, _plain(condition.get("message")), claims, events, every)
    inits = [(found, True) for found in status.get("initContainerStatuses") or []]
    for container, init in [*inits, *((found, False) for found in status.get("containerStatuses") or [])]:
        yield from _container(name, container, init, events)
    for event in reversed(events):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume"):
            if status.get("phase") == "Pending":
                yield _mount(name, _plain(event.get("message")))
            break
        if event.get("reason") == "FailedCreatePodSandBox" and status.get("phase") == "Pending":
            hint = "the node's network plugin or runtime is not well; kubectl describe node tells more"
            yield Finding(
                f"Pod {name}: its sandbox cannot be made: {_plain(event.get('message'))}", hint, None
            )
            break


def _pending(
    pod: Object, message: str, claims: Sequence[Object], events: Sequence[Object], every: Sequence[Object]
) -> Finding:
    name = pod["metadata"]["name"]
    # What follows is about evicting others, which Millpond's pods never do.
    message = re.split(r"\.? (?:no new claims|preemption:)", message)[0]
    if "PersistentVolumeClaim" in message or "persistentvolumeclaim" in message:
        return _claim(name, message, claims, every)
    patience: float | None = 120
    if any(event.get("reason") == "TriggeredScaleUp" for event in events):
        # Nodes are on their way.
        patience = None
    lacks = sorted(set(re.findall(r"Insufficient ([\w./-]*\w)", message)))
    if lacks:
        words = ["GPUs" if "gpu" in what else what for what in lacks]
        hint = "lower its resources in the flavour, or add nodes; kubectl describe nodes tells what is free"
        return Finding(
            f"Pod {name} finds no node with enough {' and '.join(words)}: {message}", hint, patience
        )
    if "taint" in message and "affinity" not in message:
        hint = "let its nodes bear the pod, or give it a toleration (kubernetes: gpu for GPU pools)"
        return Finding(f"Pod {name} bears no node's taints: {message}", hint, patience)
    if "affinity/selector" in message or "node selector" in message:
        hint = "label the nodes that it is meant for, or change kubernetes: gpu: node_selector"
        return Finding(f"Pod {name} finds no node with the labels that it wants: {message}", hint, patience)
    return Finding(
        f"Pod {name} finds no node: {message}", "add a node, or see kubectl describe nodes", patience
    )


def _claim(pod: str, message: str, claims: Sequence[Object], events: Sequence[Object]) -> Finding:
    for claim in claims:
        if (claim.get("status") or {}).get("phase") == "Bound":
            continue
        name = claim["metadata"]["name"]
        spec = claim.get("spec") or {}
        texts = [(event.get("reason"), _plain(event.get("message"))) for event in _of(events, name)]
        told = [text for reason, text in texts if reason == "ProvisioningFailed"]
        if told:
            hint = "mend the storage class, or choose another under kubernetes: storage_class"
            return Finding(f"PersistentVolumeClaim {name}: its volume cannot be made: {told[-1]}", hint, 60)
        if not spec.get("storageClassName"):
            hint = "name one under kubernetes: storage_class, mark one as the default, or make a volume"
            return Finding(
                f"PersistentVolumeClaim {name} is unbound: the cluster has no default StorageClass", hint, 60
            )
        hint = "see kubectl describe pvc; its storage class may have nobody who makes volumes"
        return Finding(f"PersistentVolumeClaim {name} is unbound, so Pod {pod} waits", hint, 120)
    return Finding(f"Pod {pod} waits for its volume: {message}", "see kubectl describe pvc", 60)


def _mount(pod: str, text: str) -> Finding:
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', text)
    if missing:
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[missing[1]]
        return Finding(
            f"Pod {pod} mounts the {kind} {missing[2]}, which is not there",
            "make it, or run millpond up again",
            30,
        )
    return Finding(f"Pod {pod}: a volume cannot be mounted: {text}", "see kubectl describe pod", None)


# --- containers ---------------------------------------------------------------------------------------------


def _container(pod: str, status: dict[str, Any], init: bool, events: Sequence[Object]) -> Iterator[Finding]:
    name, image = status["name"], status.get("image", "")
    what = f"Pod {pod}, {'init ' if init else ''}container {name}"
    state = status.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), _plain(waiting.get("message"))
    restarts = int(status.get("restartCount", 0))
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    match reason:
        case "ImagePullBackOff" | "ErrImagePull" | "RegistryUnavailable":
            pulled = [_plain(event.get("message")) for event in events if event.get("reason") == "Failed"]
            told = next((text for text in reversed(pulled) if image in text or "pull" in text), message)
            yield Finding(f"{what}: the image {image} cannot be pulled: {told}", _pull_hint(told), 60)
        case "ErrImageNeverPull":
            yield Finding(
                f"{what}: the image {image} is not on the node, and its pull policy is Never",
                "import it on the node, or set kubernetes: pull_policy: IfNotPresent",
                20,
            )
        case "InvalidImageName":
            yield Finding(
                f"{what}: {image} is no name of an image", "mend registry or image in the flavour", 5
            )
        case "CreateContainerConfigError" | "CreateContainerError":
            yield _config(what, message)
        case "CrashLoopBackOff":
            patience = 0.0 if restarts >= _CRASHES else None
            yield _crash(what, pod, name, ended, True, patience)
        case _ if state.get("terminated") and ended.get("exitCode"):
            yield _crash(what, pod, name, ended, False, None)
        case _ if "running" in state and not init and not status.get("ready"):
            yield from _probes(what, pod, name, restarts, ended, events)


def _pull_hint(text: str) -> str:
    low = text.lower()
    if any(word in low for word in ("unauthorized", "authorization failed", "denied", "401", "403")):
        return "name a Secret that opens the registry under kubernetes: pull_secrets"
    if any(word in low for word in ("not found", "manifest unknown", "404")):
        return "push it: millpond images --build --push REGISTRY"
    if any(word in low for word in ("no such host", "i/o timeout", "connection refused", "dial tcp")):
        return "the node does not reach the registry; check its name, DNS and network"
    return "check registry and pull_secrets under kubernetes:, and push it: millpond images --push REGISTRY"


def _config(what: str, message: str) -> Finding:
    missing = re.search(r'(secret|configmap) "([^"]+)" not found', message)
    key = re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (?:[\w.-]+/)?([\w.-]+)", message)
    if missing:
        kind = {"secret": "Secret", "configmap": "ConfigMap"}[missing[1]]
        told = f"the {kind} {missing[2]} is not there"
    elif key:
        told = f"the {key[2]} {key[3]} has no key {key[1]}"
    elif "runAsNonRoot" in message:
        return Finding(
            f"{what}: {message}", "use an image whose user is not root, by number, such as Millpond's own", 20
        )
    else:
        told = message or "its configuration is not valid"
    return Finding(f"{what} cannot be made: {told}", "make it, or run millpond up again", 30)


def _crash(
    what: str, pod: str, name: str, ended: dict[str, Any], before: bool, patience: float | None
) -> Finding:
    code = ended.get("exitCode")
    log = (pod, name, before)
    if ended.get("reason") == "OOMKilled":
        hint = "give it more under resources: memory in the component's entry of the flavour"
        return Finding(f"{what} was killed for want of memory (OOMKilled)", hint, patience, log)
    if ended.get("reason") in ("StartError", "ContainerCannotRun"):
        hint = "check the command against the image"
        return Finding(f"{what} cannot start: {_plain(ended.get('message'))}", hint, patience, log)
    told = f"{what} ends with exit code {code}" if code is not None else f"{what} ends again and again"
    if code == 137:
        told += " (killed)"
    return Finding(told, "its last lines say why; mend it and run millpond up again", patience, log)


def _probes(
    what: str, pod: str, name: str, restarts: int, ended: dict[str, Any], events: Sequence[Object]
) -> Iterator[Finding]:
    for event in reversed(events):
        if event.get("reason") != "Unhealthy":
            continue
        field = str((event.get("involvedObject") or {}).get("fieldPath", ""))
        if field and not field.endswith(f"{{{name}}}"):
            continue
        text = _plain(event.get("message"))
        probe = next((word for word in ("Startup", "Liveness", "Readiness") if text.startswith(word)), "A")
        hint = "its last lines may say why; a slow start wants a greater start_timeout"
        told = text.partition(": ")[2] or text
        yield Finding(
            f"{what}: its {probe.lower()} probe fails: {told}"
            + (f" (restarted {restarts} times)" if restarts else ""),
            hint,
            0.0 if restarts >= _CRASHES else None,
            (pod, name, False),
        )
        return
    if restarts:
        yield _crash(what, pod, name, ended, True, None)


def _plain(text: object) -> str:
    return " ".join(str(text or "").split()).rstrip(".")
