"""A deployment as plain objects, for those who apply files themselves: one revision, with all requests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.cluster import graph_objects, kserve, objects, refusals, routes
from millpond.serving.cluster.context import Context
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.revisions import revision_of
from millpond.serving.controller.store import Record, Replica
from millpond.serving.inferencegraph import InferenceGraph
from millpond.serving.inferenceservice import InferenceService
from millpond.targets.kubernetes.bundle import Object

_NEVER = "1970-01-01T00:00:00Z"


def rendered(service: InferenceService, context: Context, *, by_kserve: bool = False) -> list[Object]:
    """The objects of a document, the same for the same document; nothing is asked.

    Args:
        service: the document.
        context: where.
        by_kserve: whether the cluster has KServe.

    Raises:
        MillpondError: it cannot be said without asking the registry, or speaks of two revisions.
    """
    name, uri = service.metadata.name, service.spec.predictor.model.storageUri
    if by_kserve:
        return [kserve.account(context), kserve.document(service, context, uri)]
    refusals.check(service, context)
    if service.spec.predictor.canaryTrafficPercent not in (None, 100):
        raise MillpondError(
            f"{name} speaks of two revisions, and files cannot wait for one",
            hint="`millpond deploy --canary` puts one beside the other",
        )
    version = uri.rpartition("/")[2]
    if uri.startswith("models:/") and not (version.isdigit() and "@" not in uri):
        raise MillpondError(
            f"{uri} means another model when it is moved, so it cannot be written into files",
            hint="name the version, as models:/NAME/VERSION",
        )
    record = Record(name, service.metadata.namespace, service.document(), uid="", created=_NEVER)
    record.annotations = dict(service.metadata.annotations)
    digest = hashlib.sha256(uri.encode()).hexdigest()[:32]
    known = version if uri.startswith("models:/") else None
    revision = revision_of(record, service, Artifact(uri, digest, version=known))
    grpc = objects.GRPC_PORT if revision.settings.get("grpc") else 0
    revision.created, revision.replicas = _NEVER, [Replica(0, objects.PORT, grpc)]
    record.revisions, record.active = [revision], revision.name
    found = [
        *objects.shared_objects(context, record),
        *objects.revision_objects(context, record, revision),
        objects.primary_service(context, record),
    ]
    if context.http_routes:
        found += routes.http_routes(context, record, {revision.name})
    return found


def rendered_graph(
    graph: InferenceGraph, context: Context, services: Mapping[str, Any], *, by_kserve: bool = False
) -> list[Object]:
    """The objects of a graph, the same for the same documents; nothing is asked.

    Args:
        graph: the graph.
        context: where.
        services: the documents of the deployments beside it, by name.
        by_kserve: whether the cluster has KServe.

    Raises:
        MillpondError: it calls a deployment that is none of them, or asks for what is not done.
    """
    name = graph.metadata.name
    if by_kserve:
        return [kserve.graph_document(graph.document(), context)]
    graph_objects.check(graph, context)
    missing = [service for service in graph.services() if service not in services]
    if missing:
        raise MillpondError(
            f"the graph {name} calls {', '.join(missing)}, which no file says how to reach",
            hint=f"put deployments/{missing[0]}.yaml beside it",
        )
    told = {service: graph_objects.address(context, services[service]) for service in graph.services()}
    found = [graph_objects.config(context, graph, told), *graph_objects.running(context, graph, told)]
    if context.http_routes:
        found += graph_objects.http_routes(context, graph)
    return found
