"""The objects of a graph on a cluster without KServe: pure, the same bytes for the same graph.

A graph has a router of its own, as with KServe: a Deployment of the serving image that reads the graph from a
ConfigMap, by whose hash its pods are made anew. It calls the Services of the models, each at its rolled-out
revision, and has no other way out than those that its steps name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from millpond.model.errors import MillpondError
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.objects import DEPLOYMENT, PLATFORM, PORT, ROLE, bare_pod
from millpond.serving.cluster.routes import Route, http_route
from millpond.serving.controller.traffic import LARGEST_BODY, seldon_routes
from millpond.serving.inferencegraph import InferenceGraph
from millpond.serving.inferenceservice import DEFAULT_NAMESPACE, prediction_path
from millpond.targets.kubernetes.bundle import MANAGED_BY, MANAGER, PART_OF, Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.pods import container_security

GRAPH = "millpond.dev/graph"
"""The label with the graph's name, of its objects and of its pods."""

_DATA = "/etc/millpond/serving"
_READ = f"{_DATA}/router/graphs"
_PERCENT = 80
_WORKS = ("cpu", "memory")
_START_SECONDS = 60
_GRACE_SECONDS = 30
_LEAVING_SECONDS = 5
_ANSWER_SECONDS = 60.0
_LATE_SECONDS = 10.0


def check(graph: InferenceGraph, context: Context) -> None:
    """Refuse what the platform's own router on a cluster does not do.

    Raises:
        MillpondError: with the field, and what to do.
    """
    name, spec, namespace = graph.metadata.name, graph.spec, graph.metadata.namespace
    low, high = replicas(graph)
    refused = [
        (
            namespace not in (DEFAULT_NAMESPACE, context.namespace),
            f"namespace {namespace}",
            f"the platform's namespace is {context.namespace}: leave it out",
        ),
        (low == 0, "minReplicas 0", "nothing here wakes a router: write 1, or install KServe"),
        (high < low, f"maxReplicas {high}", f"minReplicas is {low}: write as many, or more"),
        (
            high > low and spec.scaleMetric not in (None, *_WORKS),
            f"scaleMetric {spec.scaleMetric}",
            "nobody counts requests here: write cpu or memory, or install KServe",
        ),
    ]
    for wrong, what, fix in refused:
        if wrong:
            raise MillpondError(
                f"the graph {name} asks for {what}, which is not done on this cluster", hint=fix
            )


def labels(context: Context, name: str) -> dict[str, str]:
    """The labels of a graph's objects; `up` prunes none of them."""
    return {PLATFORM: context.platform, MANAGED_BY: MANAGER, GRAPH: name}


def replicas(graph: InferenceGraph) -> tuple[int, int]:
    """The least and the most routers of a graph."""
    spec = graph.spec
    low = 1 if spec.minReplicas is None else spec.minReplicas
    return low, low if spec.maxReplicas is None else spec.maxReplicas


def address(context: Context, document: Mapping[str, Any]) -> str:
    """Where a deployment predicts inside the cluster."""
    return f"http://{context.address(document['metadata']['name'], PORT)}{prediction_path(document)}"


def config(context: Context, graph: InferenceGraph, services: Mapping[str, str], kept: str = "") -> Object:
    """The ConfigMap that the router reads.

    Args:
        context: where.
        graph: the graph.
        services: the addresses of the deployments that it calls, by name.
        kept: what is remembered of the graph beside it, as JSON.
    """
    name = graph.metadata.name
    data = {_file(name): json.dumps(_told(graph, services), indent=1, sort_keys=True)}
    if kept:
        data["record.json"] = kept
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(context, name, names.resource("graph", name)),
        "data": data,
    }


def running(context: Context, graph: InferenceGraph, services: Mapping[str, str]) -> list[Object]:
    """What runs a graph's router, in the order in which it is applied."""
    low, high = replicas(graph)
    found = [
        *(_policies(context, graph) if context.cluster.network_policies else ()),
        _deployment(context, graph, services),
        _service(context, graph.metadata.name),
    ]
    if high > low:
        found.append(_autoscaler(context, graph))
    found.append(_budget(context, graph.metadata.name))
    return found


def gateway_routes(context: Context, graph: InferenceGraph) -> list[Route]:
    """The graph's routes as the platform's own gateway takes them: at its host, and for clients of Seldon."""
    name, times = graph.metadata.name, graph.spec.routerTimeouts
    patience = min(times.serverWrite or _ANSWER_SECONDS, graph.spec.timeout or float("inf")) + _LATE_SECONDS
    limits = {"max_body": LARGEST_BODY, "timeout": patience}
    found: list[Route] = [
        {"host": name, "title": f"Graph {name}", "sign_in": False, "upstreams": [], **limits}
    ]
    found.append(seldon_routes(name, graph.metadata.namespace, PORT, **limits)[1])
    to = {"name": name, "addresses": [context.address(name, PORT)]}
    return [{**route, "upstreams": [to]} for route in found]


def http_routes(context: Context, graph: InferenceGraph) -> list[Object]:
    """One HTTPRoute for the graph's host, and one for the host that all deployments share."""
    name = graph.metadata.name
    return [
        http_route(context, name, labels(context, name), route["host"], [route])
        for route in gateway_routes(context, graph)
    ]


def _told(graph: InferenceGraph, services: Mapping[str, str]) -> dict[str, Any]:
    return {"document": graph.document(), "services": dict(services)}


def _file(name: str) -> str:
    return f"{name}.json"


def _selector(context: Context, name: str) -> dict[str, str]:
    return {PART_OF: context.platform, GRAPH: name}


def _deployment(context: Context, graph: InferenceGraph, services: Mapping[str, str]) -> Object:
    name = graph.metadata.name
    low, high = replicas(graph)
    own = {**labels(context, name), PART_OF: context.platform, names.ROLE: "graph"}
    read = names.digest(_told(graph, services))
    spec: dict[str, Any] = {
        "revisionHistoryLimit": 0,
        "selector": {"matchLabels": _selector(context, name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "metadata": {"labels": own, "annotations": {"millpond.dev/graph-digest": read}},
            "spec": _pod(context, graph),
        },
    }
    if high == low:
        # Else the autoscaler says how many.
        spec["replicas"] = low
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(context, name, name),
        "spec": dict(sorted(spec.items())),
    }


def _pod(context: Context, graph: InferenceGraph) -> dict[str, Any]:
    name = graph.metadata.name
    command = ["python", "-m", "millpond.serving.router", "--host", "0.0.0.0", "--port", str(PORT)]
    router = {
        "name": "router",
        "image": context.image,
        "imagePullPolicy": context.cluster.pull_policy,
        "command": [*command, "--data", _DATA, "--grace", str(_GRACE_SECONDS)],
        "env": [{"name": "HOME", "value": "/tmp"}, {"name": "PYTHONUNBUFFERED", "value": "1"}],
        "workingDir": "/tmp",
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "startupProbe": _probe(period=1, failures=_START_SECONDS),
        "readinessProbe": _probe(period=5, failures=3),
        "livenessProbe": _probe(period=10, failures=3),
        # Requests still come for a moment after the pod has left its Service.
        "lifecycle": {"preStop": {"sleep": {"seconds": _LEAVING_SECONDS}}},
        # A sentence of the program is told in the pod's status, where commands read it.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _resources(graph),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "graph", "mountPath": _READ, "readOnly": True},
        ],
        "securityContext": container_security(),
    }
    items = [{"key": _file(name), "path": _file(name)}]
    return {
        **bare_pod(context),
        "terminationGracePeriodSeconds": _GRACE_SECONDS + 2 * _LEAVING_SECONDS,
        "containers": [router],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "graph", "configMap": {"name": names.resource("graph", name), "items": items}},
        ],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": _selector(context, name)},
            }
        ],
    }


def _probe(*, period: int, failures: int) -> dict[str, Any]:
    get = {"path": "/healthz", "port": PORT, "scheme": "HTTP"}
    return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}


def _resources(graph: InferenceGraph) -> dict[str, Any]:
    """What the document says, with requests where it has none."""
    limits = {key: str(value) for key, value in graph.spec.resources.limits.items()}
    requests = {"cpu": "100m", "memory": "128Mi", **{k: v for k, v in limits.items() if k in _WORKS}}
    requests |= {key: str(value) for key, value in graph.spec.resources.requests.items()}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _service(context: Context, name: str) -> Object:
    http = {"name": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP", "appProtocol": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(context, name, name),
        "spec": {"type": "ClusterIP", "selector": _selector(context, name), "ports": [http]},
    }


def _autoscaler(context: Context, graph: InferenceGraph) -> Object:
    name, (low, high) = graph.metadata.name, replicas(graph)
    target = {"type": "Utilization", "averageUtilization": graph.spec.scaleTarget or _PERCENT}
    metric = {"type": "Resource", "resource": {"name": graph.spec.scaleMetric or "cpu", "target": target}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(context, name, name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": low,
            "maxReplicas": high,
            "metrics": [metric],
        },
    }


def _budget(context: Context, name: str) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": _metadata(context, name, name),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": _selector(context, name)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _policies(context: Context, graph: InferenceGraph) -> list[Object]:
    """To the models that the graph calls and the addresses that it names, and from where requests come."""
    name = graph.metadata.name
    port = [{"protocol": "TCP", "port": PORT}]
    pods = {"matchLabels": _selector(context, name)}
    outward: list[dict[str, Any]] = [
        {
            "to": [
                {
                    "podSelector": {
                        "matchLabels": {PART_OF: context.platform, DEPLOYMENT: service, names.ROLE: ROLE}
                    }
                }
            ],
            "ports": port,
        }
        for service in graph.services()
    ]
    elsewhere = _elsewhere(graph)
    if elsewhere:
        outward.append({"ports": [{"protocol": "TCP", "port": number} for number in elsewhere]})
    # Who leads requests here stands in another namespace, or asks by the Service.
    own: dict[str, Any] = {
        "podSelector": pods,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"ports": port}],
    }
    own |= {"egress": outward} if outward else {}
    found = [_policy(context, name, names.resource("graph", name), own)]
    if context.gateway:
        who = {"matchLabels": {PART_OF: context.platform, names.INSTANCE: context.gateway}}
        to = [{"to": [{"podSelector": pods}], "ports": port}]
        spec = {"podSelector": who, "policyTypes": ["Egress"], "egress": to}
        found.append(_policy(context, name, names.resource("gateway-to-graph", name), spec))
    return found


def _elsewhere(graph: InferenceGraph) -> list[int]:
    """The ports of the addresses that steps name themselves."""
    found = set()
    for node in graph.spec.nodes.values():
        for step in node.steps:
            if step.serviceUrl:
                parts = urlsplit(step.serviceUrl)
                found.add(parts.port or (443 if parts.scheme == "https" else 80))
    return sorted(found)


def _policy(context: Context, graph: str, own: str, spec: dict[str, Any]) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(context, graph, own),
        "spec": spec,
    }


def _metadata(context: Context, graph: str, own: str) -> dict[str, Any]:
    return {"name": own, "namespace": context.namespace, "labels": labels(context, graph)}
