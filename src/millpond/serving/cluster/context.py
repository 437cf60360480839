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
_LOG = ("MILLPOND_LOG_BUCKET", "AWS_")
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
        log: variables by which the log of predictions goes to the lake; empty without one.
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
    log: tuple[Mapping[str, Any], ...] = ()
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
        service = node.component.service
        told = {**service.env, **service.processes["controller"].env}
        log = _variables(real, node.name, service.processes["monitor"].env, _LOG)
        entry = catalogue.entry(node.component.name)
        cuda = node.resources.gpu > 0
        door = platform.gateway
        return cls(
            platform=platform.name,
            namespace=names.namespace(platform),
            node=names.dns(node.name),
            image=node.image or image(entry, platform.cluster, cuda=cuda),
            cluster=platform.cluster,
            lake=_variables(real, node.name, told, _LAKE),
            entrance=_variables(real, node.name, told, _ENTRANCE) if door else (),
            log=log if node.bindings.get("log") else (),
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


def _variables(
    real: Realiser, node: str, told: Mapping[str, str], wanted: tuple[str, ...]
) -> tuple[Mapping[str, Any], ...]:
    """Those of a process's variables that begin with one of these words, for a container."""
    variables = Variables()
    scope = real.scope(node)
    found: list[Mapping[str, Any]] = []
    for key, template in told.items():
        value = scope.value(template)
        if not key.startswith(wanted) or (value.empty and template):
            continue
        reference = real.reference(value)
        if reference is not None:
            keyed = {"name": reference.secret, "key": reference.key}
            found.append({"name": key, "valueFrom": {"secretKeyRef": keyed}})
        else:
            found.append({"name": key, "value": real.text(value, variables)})
    # A text with a secret in it, such as an address with a password, speaks of these.
    return (*variables.env(), *found)


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
