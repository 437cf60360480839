"""Routes from outside: HTTPRoutes of the Gateway API, or Ingresses; and those of the platform's gateway.

Where the platform has its own gateway, which holds the sign-in, all names lead to it, and it leads on.
Without one each name leads to its component.
"""

from __future__ import annotations

import json
from typing import Any

from millpond.model.platform import Node, Platform
from millpond.model.value import Part, Secret, Value
from millpond.targets.kubernetes.bundle import Object
from millpond.targets.kubernetes.render import names
from millpond.targets.kubernetes.render.realise import Realiser


def hosts(platform: Platform, node: Node) -> list[str]:
    """The names by which a node is reached from outside; none where routes do not lead to it."""
    routes = platform.cluster.routes
    opened = node.component.service.open
    if routes.kind == "none" or not routes.host or opened is None:
        return []
    entrance = platform.gateway
    if entrance == node.name:
        return [routes.host, f"*.{routes.host}"]
    return [] if entrance else [f"{names.dns(node.name)}.{routes.host}"]


def url(platform: Platform, name: str) -> str | None:
    """What a browser opens for a node, when routes lead to it or to the platform's gateway."""
    routes = platform.cluster.routes
    opened = platform.nodes[name].component.service.open
    if routes.kind == "none" or not routes.host or opened is None:
        return None
    scheme = "https" if routes.https or routes.tls_secret else "http"
    host = routes.host if name == platform.gateway else f"{names.dns(name)}.{routes.host}"
    return f"{scheme}://{host}{opened.path}"


def route(platform: Platform, node: Node, realiser: Realiser) -> Object | None:
    """The HTTPRoute or Ingress of a node; None where none leads to it."""
    found = hosts(platform, node)
    opened = node.component.service.open
    if not found or opened is None:
        return None
    port = realiser.port(node.name, opened.port)
    metadata = {
        "name": names.resource(node.name),
        "namespace": realiser.namespace,
        "labels": names.labels(platform, node),
    }
    if platform.cluster.routes.kind == "gateway":
        return _http_route(platform, node, metadata, found, port)
    return _ingress(platform, node, metadata, found, port)


def _http_route(
    platform: Platform, node: Node, metadata: dict[str, Any], found: list[str], port: int
) -> Object:
    routes = platform.cluster.routes
    namespace, _, name = routes.gateway.rpartition("/")
    parent: dict[str, Any] = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": name}
    if namespace:
        parent["namespace"] = namespace
    if routes.section:
        parent["sectionName"] = routes.section
    backend = {"group": "", "kind": "Service", "name": names.resource(node.name), "port": port, "weight": 1}
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata,
        "spec": {
            "parentRefs": [parent],
            "hostnames": found,
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                    "backendRefs": [backend],
                }
            ],
        },
    }


def _ingress(platform: Platform, node: Node, metadata: dict[str, Any], found: list[str], port: int) -> Object:
    routes = platform.cluster.routes
    backend = {"service": {"name": names.resource(node.name), "port": {"number": port}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": paths}} for host in found]}
    if routes.ingress_class:
        spec["ingressClassName"] = routes.ingress_class
    if routes.tls_secret:
        spec["tls"] = [{"hosts": found, "secretName": routes.tls_secret}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def static(platform: Platform, realiser: Realiser) -> Value:
    """The platform's routes as its gateway reads them from a file: JSON with secrets as atoms in it."""
    entrance = platform.gateway
    routes = []
    secrets: dict[str, Secret] = {}

    def text(node: str, template: str) -> str:
        """The template's text, with a mark where a secret stands."""
        found = []
        for part in realiser.scope(node).value(template).parts:
            if isinstance(part, Secret):
                mark = f"\0{len(secrets)}\0"
                secrets[mark] = part
                found.append(mark)
            else:
                found.append(part if isinstance(part, str) else realiser.text(Value((part,))))
        return "".join(found)

    for name, node in platform.nodes.items():
        opened = node.component.service.open
        if opened is None or name == entrance or node.recipe != "service":
            continue
        port = realiser.port(name, opened.port)
        found: dict[str, Any] = {
            "host": names.dns(name),
            "upstreams": [{"address": f"{realiser.host(name, opened.port)}:{port}", "weight": 100}],
            "sign_in": not opened.public,
            "title": opened.title or node.component.summary,
        }
        if opened.sign_in:
            found["credentials"] = {
                "username": text(name, opened.sign_in.username),
                "password": text(name, opened.sign_in.password),
            }
        routes.append(found)
    whole = json.dumps({"routes": routes}, indent=1, sort_keys=True)
    return Value(tuple(_with(whole, secrets)))


def _with(text: str, secrets: dict[str, Secret]) -> list[Part]:
    """The text with each mark, as JSON writes it, replaced by its secret."""
    parts: list[Part] = []
    for mark, secret in secrets.items():
        before, _, text = text.partition(json.dumps(mark)[1:-1])
        parts += [before, secret]
    return [*parts, text]
