"""A deployment as plain objects, for those who apply files themselves: one revision, with all requests."""

from __future__ import annotations

import hashlib

from millpond.model.errors import MillpondError
from millpond.serving.cluster import kserve, objects, refusals, routes
from millpond.serving.cluster.context import Context
from millpond.serving.controller.artifacts import Artifact
from millpond.serving.controller.revisions import revision_of
from millpond.serving.controller.store import Record, Replica
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
