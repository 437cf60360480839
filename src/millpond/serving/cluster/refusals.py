"""What a document asks for that its place on a cluster does not do: refused by name. Pure."""

from __future__ import annotations

from millpond.model.errors import MillpondError
from millpond.serving.cluster.context import Context
from millpond.serving.inferenceservice import DEFAULT_NAMESPACE, InferenceService


def check(service: InferenceService, context: Context) -> None:
    """Refuse what the platform's own model servers on a cluster do not do.

    Raises:
        MillpondError: with the field or annotation, and what to do.
    """
    name, predictor, asked = service.metadata.name, service.spec.predictor, service.intentions
    elsewhere = service.metadata.namespace not in (DEFAULT_NAMESPACE, context.namespace)
    low, _ = predictor.replicas
    beside = predictor.canaryTrafficPercent is not None and predictor.canaryTrafficPercent < 100
    sticky = asked.sticky is not None
    refused = [
        (
            elsewhere,
            f"namespace {service.metadata.namespace}",
            f"the platform's namespace is {context.namespace}: leave it out",
        ),
        (low == 0, "minReplicas 0", "nothing here wakes a model: write 1, or install KServe"),
        (
            predictor.logger is not None and not context.log,
            "logger",
            "serving has no lake that takes the log: add seaweedfs to the flavour, or --no-log",
        ),
        (
            predictor.logger is not None and predictor.logger.url is not None,
            "logger.url",
            "the log goes to the lake alone, as model pods have no way out: leave url out",
        ),
        (asked.rollout is not None, "rollout", "there is no controller: --canary, then `millpond traffic`"),
        (
            asked.experiment is not None and predictor.logger is None,
            "experiment without a logger",
            "its outcomes are read from the log: --log beside --ab",
        ),
        (
            predictor.model.storageUri.startswith(("/", "file:")),
            f"storageUri {predictor.model.storageUri}",
            "a pod does not see folders of this machine: register the model, or put it into the lake",
        ),
        (
            beside and not context.routed,
            "canaryTrafficPercent" if not asked.mirror else "mirror",
            "nothing shares requests out: set kubernetes.routes.kind to gateway, or add the gateway",
        ),
        (
            sticky and context.http_routes and asked.sticky is not None and asked.sticky.header is not None,
            "sticky by a header",
            "HTTPRoutes cannot: write cookie, or let the platform's own gateway lead requests",
        ),
        (
            sticky and context.http_routes and not context.sessions,
            "sticky",
            "the cluster's HTTPRoutes have no sessionPersistence: install the experimental channel",
        ),
    ]
    for wrong, what, fix in refused:
        if wrong:
            raise MillpondError(f"{name} asks for {what}, which is not done on this cluster", hint=fix)
