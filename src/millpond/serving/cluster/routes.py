"""Who gets which share of a deployment's requests, in the words of the Gateway API. Pure.

The shares are those that the platform's own gateway would get (`millpond.serving.controller.traffic`), so
that the two cannot differ. https://gateway-api.sigs.k8s.io/reference/spec/
"""

from __future__ import annotations

from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.cluster.context import Context
from millpond.serving.cluster.objects import GRPC_PORT, PORT, labels
from millpond.serving.controller import traffic
from millpond.serving.controller.store import Record
from millpond.serving.controller.traffic import Share
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names

Route = dict[str, Any]
_GROUP = "gateway.networking.k8s.io"


def gateway_routes(context: Context, record: Record, ready: set[str]) -> list[Route]:
    """The routes as the platform's own gateway takes them.

    Args:
        context: where.
        record: the deployment.
        ready: the names of the revisions that answer.
    """
    found = traffic.routes(record, shares(record, ready), None)
    for route in found:
        for target in (*route["upstreams"], *route.get("mirrors", ())):
            port = GRPC_PORT if target.get("protocol") == "h2c" else PORT
            target["addresses"] = [context.address(target["name"], port)]
    return found


def shares(record: Record, ready: set[str]) -> list[Share]:
    """The live revisions with what each gets; a candidate that does not answer gets nothing."""
    services = {service for each in record.live if each.name in ready for service in each.services}
    return [
        Share(share.revision, share.percent, share.ports[:1], share.grpc_ports[:1])
        for share in traffic.shares(record, services)
    ]


def http_routes(context: Context, record: Record, ready: set[str]) -> list[Object]:
    """One HTTPRoute for each of the deployment's hosts: its own, and all deployments' shared one.

    Raises:
        MillpondError: clients shall stay with a revision, which the cluster's HTTPRoutes do not know.
    """
    if record.intentions.sticky is not None and not context.sessions:
        raise MillpondError(
            f"{record.name} asks for sticky clients, and the cluster's HTTPRoutes have no sessionPersistence",
            hint="install the experimental channel of the Gateway API, or leave sticky out",
        )
    by_host: dict[str, list[Route]] = {}
    for route in gateway_routes(context, record, ready):
        by_host.setdefault(route["host"], []).append(route)
    found = labels(context, record.name)
    return [http_route(context, record.name, found, host, rules) for host, rules in by_host.items()]


def http_route(
    context: Context, own: str, own_labels: dict[str, str], host: str, found: list[Route]
) -> Object:
    """The HTTPRoute of one host of a deployment or a graph.

    Args:
        context: where.
        own: whose.
        own_labels: the labels of its objects.
        host: the name below the domain.
        found: the routes of that host, as the platform's own gateway takes them.
    """
    routes = context.cluster.routes
    namespace, _, gateway = routes.gateway.rpartition("/")
    parent: dict[str, Any] = {"group": _GROUP, "kind": "Gateway", "name": gateway}
    if namespace:
        parent["namespace"] = namespace
    if routes.section:
        parent["sectionName"] = routes.section
    name = own if host == own else names.resource(own, host)
    return {
        "apiVersion": f"{_GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": context.namespace, "labels": own_labels},
        "spec": {
            "parentRefs": [parent],
            "hostnames": [f"{host}.{routes.host}"],
            "rules": [_rule(own, route) for route in found],
        },
    }


def taken(route: Object) -> str | None:
    """What an HTTPRoute still waits for; None when its Gateway serves it.

    Raises:
        MillpondError: the Gateway refuses it.
    """
    name, generation = route["metadata"]["name"], route["metadata"].get("generation", 0)
    conditions = [
        condition
        for parent in (route.get("status") or {}).get("parents") or ()
        for condition in parent.get("conditions") or ()
        if condition.get("observedGeneration", 0) >= generation
    ]
    for condition in conditions:
        if condition["type"] in ("Accepted", "ResolvedRefs") and condition["status"] == "False":
            raise MillpondError(f"the Gateway refuses HTTPRoute {name}: {condition.get('message', '')}")
    if any(each["type"] == "Accepted" and each["status"] == "True" for each in conditions):
        return None
    return f"waiting until the Gateway takes HTTPRoute {name}"


def _rule(name: str, route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "matches": [_match(path, route.get("when")) for path in route.get("paths") or ["/"]],
        "backendRefs": [
            _backend(target) | {"weight": target.get("weight", 100)} for target in route["upstreams"]
        ],
        "timeouts": {"request": f"{round(route['timeout'])}s"},
    }
    mirrors = [
        {
            "type": "RequestMirror",
            "requestMirror": {"backendRef": _backend(target), "percent": round(target["percent"])},
        }
        for target in route.get("mirrors", ())
    ]
    if mirrors:
        found["filters"] = mirrors
    sticky = route.get("sticky")
    if sticky:
        found["sessionPersistence"] = _session(name, sticky)
    return found


def _match(path: str, when: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"path": {"type": "PathPrefix", "value": path}}
    if when:
        exact = when["value"] is not None
        header = {"name": when["header"], "type": "Exact" if exact else "RegularExpression"}
        found["headers"] = [{**header, "value": when["value"] if exact else ".+"}]
    return found


def _backend(target: dict[str, Any]) -> dict[str, Any]:
    port = GRPC_PORT if target.get("protocol") == "h2c" else PORT
    return {"group": "", "kind": "Service", "name": target["name"], "port": port}


def _session(name: str, sticky: dict[str, Any]) -> dict[str, Any]:
    """By a cookie that the gateway hands out, or by a header that it hands out and the client sends back.

    Neither reads a user's name out of the client's own header, as the platform's gateway does.
    """
    if sticky.get("header"):
        raise MillpondError(
            f"{name} asks for clients that stay by the header {sticky['header']}, which HTTPRoutes cannot do",
            hint="write sticky: cookie, or let the platform's own gateway lead requests",
        )
    hours = max(1, round(sticky["seconds"] / 3600))
    return {
        "sessionName": sticky["cookie"],
        "type": "Cookie",
        "absoluteTimeout": f"{hours}h",
        "cookieConfig": {"lifetimeType": "Permanent"},
    }
