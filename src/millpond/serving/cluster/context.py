"""What of a platform its deployments need on a cluster: image, addresses, keys by reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from millpond.catalogue import Catalogue
from millpond.model.cluster import Cluster
from millpond.model.errors import MillpondError
from millpond.model.platform import Node, Platform
from millpond.targets.kubernetes.images.names import image
from millpond.targets.kubernetes.render import names, realiser
from millpond.targets.kubernetes.render.realise import Realiser, Variables

INTERFACE = "inference"
_DESTINATION = "--artifacts-destination"
_LAKE = ("MLFLOW_", "AWS_")
_ENTRANCE = ("MILLPOND_GATEWAY_API", "MILLPOND_GATEWAY_TOKEN", "MILLPOND_GATEWAY_URL")


@dataclass(frozen=True)
class Context:
    """Where deployments run.

    Args:
        platform: the platform's name.
        namespace: its namespace.
        node: the component serving's name in it; model pods have its edges in the network.
        image: the image of model pods.
        cluster: what the flavour says of the cluster.
        lake: variables by which registry and lake are reached; secrets by reference.
        entrance: variables by which the platform's own gateway takes routes; empty without one.
        gateway: the node of that gateway.
        sessions: whether the cluster's HTTPRoutes know session persistence.
        artifacts: where the platform's registry keeps the files that it hands out itself.
    """

    platform: str
    namespace: str
    node: str
    image: str
    cluster: Cluster
    lake: tuple[Mapping[str, Any], ...] = ()
    entrance: tuple[Mapping[str, Any], ...] = ()
    gateway: str | None = None
    sessions: bool = False
    artifacts: str | None = None

    @classmethod
    def of(cls, platform: Platform, catalogue: Catalogue) -> Context:
        """The context of a platform's deployments.

        Raises:
            MillpondError: the platform has no model serving.
        """
        found = platform.providers(INTERFACE)
        if not found:
            raise MillpondError(
                f"the platform {platform.name} has no model serving",
                hint="add the component serving to its flavour, then `millpond up`",
            )
        node = platform.nodes[found[0][0]]
        real = realiser(platform, catalogue)
        scope = real.scope(node.name)
        variables = Variables()
        lake: list[Mapping[str, Any]] = []
        entrance: list[Mapping[str, Any]] = []
        service = node.component.service
        for key, template in {**service.env, **service.processes["controller"].env}.items():
            where = lake if key.startswith(_LAKE) else entrance if key.startswith(_ENTRANCE) else None
            value = scope.value(template)
            if where is None or (value.empty and template):
                continue
            reference = real.reference(value)
            if reference is not None:
                keyed = {"name": reference.secret, "key": reference.key}
                where.append({"name": key, "valueFrom": {"secretKeyRef": keyed}})
            else:
                where.append({"name": key, "value": real.text(value, variables)})
        # A text with a secret in it, such as an address with a password, speaks of these.
        own = tuple(variables.env())
        entry = catalogue.entry(node.component.name)
        cuda = node.resources.gpu > 0
        door = platform.gateway
        return cls(
            platform=platform.name,
            namespace=names.namespace(platform),
            node=names.dns(node.name),
            image=node.image or image(entry, platform.cluster, cuda=cuda),
            cluster=platform.cluster,
            lake=(*own, *lake),
            entrance=(*own, *entrance) if door else (),
            gateway=names.dns(door) if door else None,
            artifacts=_artifacts(platform, real, node),
        )

    @property
    def routed(self) -> bool:
        """Whether requests can be shared out between revisions."""
        return self.http_routes or self.gateway is not None

    @property
    def http_routes(self) -> bool:
        """Whether the cluster's own Gateway leads requests."""
        routes = self.cluster.routes
        return routes.kind == "gateway" and bool(routes.gateway and routes.host) and self.gateway is None

    def address(self, service: str, port: int) -> str:
        """A Service's address inside the cluster."""
        return f"{service}.{self.namespace}.svc:{port}"

    def url(self, name: str) -> str | None:
        """What a deployment is reached by from outside; None where nothing leads to it."""
        routes = self.cluster.routes
        if not routes.host or not self.routed:
            return None
        return f"{'https' if routes.https or routes.tls_secret else 'http'}://{name}.{routes.host}"


def _artifacts(platform: Platform, real: Realiser, node: Node) -> str | None:
    """Where the registry that serving is bound to keeps its files: an option of its command says it."""
    binding = node.bindings.get("tracking")
    if binding is None or not binding.provider:
        return None
    for process in platform.nodes[binding.provider].component.service.processes.values():
        words = list(process.command)
        if _DESTINATION in words:
            return real.template(binding.provider, words[words.index(_DESTINATION) + 1])
    return None
