"""Jobs of the serving image: what has to be done inside the cluster, where registry and gateway answer."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.cluster import diagnosis, pod
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.objects import bare_pod, escaped, labels, pod_labels
from millpond.targets.kubernetes.api import Cluster
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.pods import container_security

_PATIENCE = 180.0
_KEPT_SECONDS = 300
_PAUSE = 0.3


def job(
    context: Context,
    deployment: str,
    what: str,
    arguments: Sequence[str],
    env: Iterable[Mapping[str, Any]],
    number: str,
) -> Object:
    """A Job that does one thing of `millpond.serving.cluster.pod`.

    Args:
        context: where.
        deployment: whose.
        what: ``resolve`` or ``publish``.
        arguments: what it is told.
        env: its variables.
        number: makes the name new.
    """
    container = {
        "name": what,
        "image": context.image,
        "imagePullPolicy": context.cluster.pull_policy,
        "command": ["python", "-m", "millpond.serving.cluster.pod", what, *map(escaped, arguments)],
        "env": [{"name": "HOME", "value": "/tmp"}, *(dict(item) for item in env)],
        "workingDir": "/tmp",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "securityContext": container_security(),
    }
    spec = {
        **bare_pod(context),
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.resource(deployment, what, number),
            "namespace": context.namespace,
            "labels": labels(context, deployment),
        },
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {
                "metadata": {"labels": pod_labels(context, deployment, f"model-{what}")},
                "spec": spec,
            },
        },
    }


async def run(cluster: Cluster, found: Object, said_in: list[str] | None = None) -> dict[str, Any]:
    """Run a Job, and take its answer; it is gone afterwards.

    Args:
        cluster: the API.
        found: the Job.
        said_in: gets the lines of its log, where it ended well.

    Raises:
        MillpondError: it failed, in its own words, or did not end.
    """
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    await cluster.apply(found)
    deadline = time.monotonic() + _PATIENCE
    said = "it has no pod"
    try:
        while time.monotonic() < deadline:
            for each in await cluster.list(
                "v1", "Pod", namespace=namespace, labels={"batch.kubernetes.io/job-name": name}
            ):
                said = diagnosis.pod_state(each).message or said
                status = each.get("status") or {}
                for container in status.get("containerStatuses") or ():
                    ended = (container.get("state") or {}).get("terminated")
                    if ended:
                        answer = _answer(name, ended)
                        if said_in is not None:
                            pod_name = each["metadata"]["name"]
                            said_in += [line async for line in cluster.logs(pod_name, namespace=namespace)]
                        return answer
                    state = diagnosis.container_state(container, name)
                    if state is not None and state.failed:
                        raise MillpondError(state.message)
            await asyncio.sleep(_PAUSE)
        raise MillpondError(f"the Job {name} did not end in {_PATIENCE:g} s: {said}", hint="kubectl describe")
    finally:
        await cluster.delete(found, propagation="Background")


def _answer(name: str, ended: Mapping[str, Any]) -> dict[str, Any]:
    message = str(ended.get("message") or "").strip()
    if ended.get("exitCode"):
        raise MillpondError(message or f"the Job {name} ended with exit code {ended['exitCode']}")
    try:
        found: dict[str, Any] = json.loads(message)
    except ValueError:
        raise MillpondError(f"the Job {name} said nothing that can be read") from None
    return found


async def resolved(cluster: Cluster, context: Context, deployment: str, uri: str) -> dict[str, Any]:
    """What a model's URI means today: uri, version, run_id, identity, source."""
    made = job(context, deployment, "resolve", ["--uri", uri], context.lake, uuid.uuid4().hex[:8])
    return await run(cluster, made)


async def published(
    cluster: Cluster, context: Context, name: str, routes: list[dict[str, Any]], *, whose: str = "deployment"
) -> list[str]:
    """Put the routes of a deployment or a graph at the platform's gateway; the addresses they answer by."""
    env = [*context.entrance, {"name": pod.ROUTES, "value": escaped(json.dumps(routes))}]
    owner = f"{whose}-{name}"
    made = job(context, name, "publish", ["--owner", owner], env, uuid.uuid4().hex[:8])
    return [str(url) for url in (await run(cluster, made))["urls"]]


async def asked(cluster: Cluster, context: Context, deployment: str, question: Mapping[str, Any]) -> bytes:
    """What the log of predictions in the lake says, see `millpond.serving.monitor.asked`.

    Raises:
        MillpondError: nothing was noted, or the answer is not whole.
    """
    words = ["--question", json.dumps(question)]
    made = job(context, deployment, "ask", words, context.log, uuid.uuid4().hex[:8])
    (container,) = made["spec"]["template"]["spec"]["containers"]
    container["resources"] = {
        "requests": {"cpu": "100m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    lines: list[str] = []
    told = await run(cluster, made, lines)
    found = [line.removeprefix(pod.ANSWER) for line in lines if line.startswith(pod.ANSWER)]
    if len(found) != told["lines"]:
        raise MillpondError(f"the answer about {deployment} was cut off", hint="ask again")
    return base64.b64decode("".join(found))
