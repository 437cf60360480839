"""The objects of a deployment's revisions: pure, the same bytes for the same document.

A revision is immutable under its name, ``flights-00003``: a Deployment whose init container fetches the
model, a Service of the same name, and what scales and protects them. Pods pass the restricted pod security
standard. They count to the component serving by their labels, so that the edges of its wiring are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from millpond.serving.cluster import notes
from millpond.serving.cluster.context import Context
from millpond.serving.controller.store import Record, Revision
from millpond.serving.inferenceservice import InferenceService
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, PART_OF, Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.pods import container_security, pod_security

DEPLOYMENT = "millpond.dev/deployment"
REVISION = "millpond.dev/revision"
PLATFORM = "millpond.dev/platform"
"""Labels: the deployment, its revision, and the platform that it stands on; `up` prunes none of these."""

PORT, GRPC_PORT = 8080, 8081
MODEL = "/models/model"
ROLE = "model"
_START_SECONDS = 600
_STOP_SECONDS = 35
_LEAVING_SECONDS = 5
_CPU_PERCENT = 80
_OPTIONS = ("batch", "batch_wait", "timeout", "memory", "transformer", "explainer")


def labels(context: Context, name: str, revision: str | None = None) -> dict[str, str]:
    """The labels of a deployment's objects, or of those of one revision."""
    found = {PLATFORM: context.platform, MANAGED_BY: MANAGER, DEPLOYMENT: name}
    return {**found, **({REVISION: revision} if revision else {})}


def selector(context: Context, revision: str) -> dict[str, str]:
    """By which the pods of a revision are found."""
    return {PART_OF: context.platform, REVISION: revision}


def pod_labels(context: Context, name: str, role: str, revision: str | None = None) -> dict[str, str]:
    """The labels of a pod: those of the component serving, in a role of its own."""
    return {
        **labels(context, name, revision),
        PART_OF: context.platform,
        names.INSTANCE: context.node,
        names.ROLE: role,
    }


def revision_objects(context: Context, record: Record, revision: Revision) -> list[Object]:
    """What runs a revision, in the order in which it is applied."""
    low, high = _replicas(record)
    found = [_deployment(context, record, revision, low, high), _service(context, record.name, revision)]
    if high > low:
        found.append(_autoscaler(context, record, revision, low, high))
    found.append(_budget(context, record, revision))
    return found


def shared_objects(context: Context, record: Record) -> list[Object]:
    """What a deployment has once: its network policies."""
    if not context.cluster.network_policies:
        return []
    ports = [{"protocol": "TCP", "port": port} for port in (PORT, GRPC_PORT)]
    pods = {"matchLabels": {PART_OF: context.platform, DEPLOYMENT: record.name, names.ROLE: ROLE}}
    # Who leads requests here stands in another namespace, or asks by the Service.
    inward = {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [{"ports": ports}]}
    found = [_policy(context, record.name, record.name, inward)]
    if context.gateway:
        who = {"matchLabels": {PART_OF: context.platform, names.INSTANCE: context.gateway}}
        to = [{"to": [{"podSelector": pods}], "ports": ports}]
        outward = {"podSelector": who, "policyTypes": ["Egress"], "egress": to}
        found.append(_policy(context, record.name, f"{record.name}-from-gateway", outward))
    return found


def primary_service(context: Context, record: Record) -> Object:
    """The Service by the deployment's name: its rolled-out revision, whatever leads requests."""
    revision = record.revision(record.active)
    if revision is None:
        raise AssertionError("a deployment that serves has a rolled-out revision")
    found = _service(context, record.name, revision)
    found["metadata"] = _metadata(context, record.name, record.name)
    return found


def _deployment(context: Context, record: Record, revision: Revision, low: int, high: int) -> Object:
    spec: dict[str, Any] = {
        "revisionHistoryLimit": 0,
        "selector": {"matchLabels": selector(context, revision.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": pod_labels(context, record.name, ROLE, revision.name)},
            "spec": _pod(context, record, revision),
        },
    }
    if high == low:
        # Else the autoscaler says how many.
        spec["replicas"] = low
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(context, record.name, revision.name, revision.name),
        "spec": dict(sorted(spec.items())),
    }


def _pod(context: Context, record: Record, revision: Revision) -> dict[str, Any]:
    settings = revision.settings
    resources = _resources(revision)
    # A model's own has its files and packages; what the carrier needs to reach the lake is in serving's.
    image = settings.get("image") or context.image
    fetch = {
        "name": "fetch",
        "image": image,
        "command": [
            *("python", "-m", "millpond.serving.cluster.pod", "fetch"),
            *("--uri", revision.uri, "--format", str(settings.get("format", "mlflow")), "--into", MODEL),
        ],
        "env": [{"name": "HOME", "value": "/tmp"}, *(dict(item) for item in context.lake)],
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
    }
    variables = {"HOME": "/tmp", "PYTHONUNBUFFERED": "1", **settings.get("env", {})}
    ports = [{"name": "http", "containerPort": PORT, "protocol": "TCP"}]
    if settings.get("grpc"):
        ports.append({"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"})
    server = {
        "name": "model",
        "image": image,
        "command": server_command(record, revision),
        "env": [{"name": key, "value": escaped(str(value))} for key, value in variables.items()],
        "ports": ports,
        "startupProbe": _probe("ready", period=1, failures=_START_SECONDS),
        "readinessProbe": _probe("ready", period=5, failures=3),
        "livenessProbe": _probe("live", period=10, failures=3),
        # Requests still come for a moment after the pod has left its Service.
        "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVING_SECONDS}}},
        "resources": resources,
    }
    asked = notes.logger(record)
    carriers = [] if asked is None else [notes.carrier(context, record, asked)]
    spec: dict[str, Any] = {
        **bare_pod(context),
        "terminationGracePeriodSeconds": _STOP_SECONDS + _LEAVING_SECONDS,
        "initContainers": [
            _dressed(context, fetch),
            *(_dressed(context, each, noting=True) for each in carriers),
        ],
        "containers": [_dressed(context, server, noting=bool(carriers))],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "models", "emptyDir": {}}],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(context, revision.name)},
            }
        ],
    }
    if carriers:
        spec["terminationGracePeriodSeconds"] += notes.GRACE_SECONDS
        spec["volumes"].append(notes.VOLUME)
        # A note that a dead server left open is known by its process's end.
        spec["shareProcessNamespace"] = True
    gpu = context.cluster.gpu
    if gpu.resource in resources.get("limits", {}):
        spec["nodeSelector"] = dict(gpu.node_selector)
        spec["tolerations"] = [
            {"key": key, "operator": "Equal", "value": value, "effect": "NoSchedule"}
            for key, value in gpu.toleration.items()
        ]
    return spec


def server_command(record: Record, revision: Revision) -> list[str]:
    """The model server's command: the one that a process of one machine has, on the pod's addresses."""
    settings = revision.settings
    found = [
        *("python", "-m", "millpond.serving.server", "--model-dir", MODEL),
        *("--name", record.name, "--namespace", record.namespace),
        *("--version", revision.version or str(revision.number), "--revision", revision.name),
        *("--host", "0.0.0.0", "--port", str(PORT)),
        *("--grpc-port", str(GRPC_PORT if settings.get("grpc") else 0)),
        *("--format", str(settings.get("format", "mlflow"))),
    ]
    if notes.logger(record) is not None:
        found += ["--log-dir", notes.folder(record)]
    for key in _OPTIONS:
        if settings.get(key) is not None:
            found += [f"--{key.replace('_', '-')}", str(settings[key])]
    return [escaped(word) for word in found]


def bare_pod(context: Context) -> dict[str, Any]:
    """What the pods of models and of jobs have in common."""
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(),
    }
    if context.cluster.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in context.cluster.pull_secrets]
    return spec


def _dressed(context: Context, container: Mapping[str, Any], *, noting: bool = False) -> dict[str, Any]:
    mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "models", "mountPath": "/models"}]
    return {
        "image": context.image,
        "imagePullPolicy": context.cluster.pull_policy,
        # A sentence of the program is told in the pod's status, where commands read it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "workingDir": "/tmp",
        "volumeMounts": [*mounts, notes.MOUNT] if noting else mounts,
        "securityContext": container_security(),
        **container,
    }


def _probe(what: str, *, period: int, failures: int) -> dict[str, Any]:
    get = {"path": f"/v2/health/{what}", "port": PORT, "scheme": "HTTP"}
    return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}


def _resources(revision: Revision) -> dict[str, Any]:
    """What the document says, with requests where it has none."""
    said = (revision.spec.get("predictor", {}).get("model", {})).get("resources", {})
    limits = {key: str(value) for key, value in said.get("limits", {}).items()}
    requests = {
        "cpu": "100m",
        "memory": "512Mi",
        **{k: v for k, v in limits.items() if k in ("cpu", "memory")},
    }
    requests |= {key: str(value) for key, value in said.get("requests", {}).items()}
    # Of devices as many are asked for as are allowed.
    requests |= {key: value for key, value in limits.items() if "/" in key}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _service(context: Context, name: str, revision: Revision) -> Object:
    http = {"name": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP", "appProtocol": "http"}
    ports: list[dict[str, Any]] = [http]
    if revision.settings.get("grpc"):
        grpc = {"name": "grpc", "port": GRPC_PORT, "targetPort": GRPC_PORT, "protocol": "TCP"}
        ports.append({**grpc, "appProtocol": "kubernetes.io/h2c"})
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(context, name, revision.name, revision.name),
        "spec": {"type": "ClusterIP", "selector": selector(context, revision.name), "ports": ports},
    }


def _autoscaler(context: Context, record: Record, revision: Revision, low: int, high: int) -> Object:
    target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(context, record.name, revision.name, revision.name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision.name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": {
                "scaleDown": {"stabilizationWindowSeconds": math.ceil(record.intentions.window)},
            },
        },
    }


def _budget(context: Context, record: Record, revision: Revision) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(context, record.name, revision.name, revision.name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(context, revision.name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _policy(context: Context, deployment: str, name: str, spec: dict[str, Any]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(context, deployment, names.resource("model", name)),
        "spec": spec,
    }


def _metadata(context: Context, name: str, own: str, revision: str | None = None) -> dict[str, Any]:
    return {"name": own, "namespace": context.namespace, "labels": labels(context, name, revision)}


def _replicas(record: Record) -> tuple[int, int]:
    clean = {key: value for key, value in record.document.items() if key != "status"}
    return InferenceService.model_validate(clean).spec.predictor.replicas


def escaped(text: str) -> str:
    """A word for a pod, where ``$(NAME)`` would mean a variable."""
    return text.replace("$(", "$$(")
