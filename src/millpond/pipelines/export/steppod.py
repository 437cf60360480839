"""What a step's pod is made of: the pod of Dask's workers on the same platform, with another command.

So a step in a pod has what it has on a worker: the image with the packages, the addresses and keys of the
platform's services, the service account without a token, the restricted security context, and the network
policy that opens the wiring's edges.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.platform import Platform
from millpond.pipelines.document import Step

INTERFACE = "dask"
CODE = "/etc/millpond/pipeline"
CODE_FILE = "code.zip"
RUNS = "/var/lib/millpond/runs"
CLAIM = "pipeline-runs"
"""The volume of the run records, one for all pipelines of a platform."""
ROLE = "step"


@dataclass(frozen=True)
class StepPod:
    """The parts of a step's pod, as Kubernetes has them.

    Attributes:
        env: variables; what is secret is a reference to a key of a Secret.
        volumes: and `mounts`: those of a worker, without the run records and the code.
        selector: labels by which the pods of steps are found.
        storage_class: of the platform's volumes, None for the cluster's default.
        policies: whether the platform closes its network.
    """

    namespace: str
    account: str
    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]
    labels: dict[str, str]
    selector: dict[str, str]
    security: dict[str, Any]
    container_security: dict[str, Any]
    env: list[dict[str, Any]]
    resources: dict[str, Any]
    volumes: list[dict[str, Any]]
    mounts: list[dict[str, Any]]
    storage_class: str | None
    policies: bool

    @classmethod
    def of(cls, platform: Platform, catalogue: Catalogue, image: str | None = None) -> StepPod:
        """The step's pod of a platform.

        Args:
            platform: as it is on a cluster.
            image: in place of the one that the workers have.

        Raises:
            MillpondError: the platform has no Dask whose workers' pod it could be.
        """
        from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY
        from millpond.targets.kubernetes.render import names, realiser
        from millpond.targets.kubernetes.render.components import Components

        providers = [name for name, _ in platform.providers(INTERFACE) if not platform.nodes[name].chart]
        if not providers:
            raise MillpondError(
                f"the platform {platform.name} has no Dask, and a step's pod is that of its workers",
                hint="add the component dask to the flavour",
            )
        node = platform.nodes[providers[0]]
        unit = Components(platform, catalogue, realiser(platform, catalogue)).unit(node)
        workers = [found for found in unit.objects if found["kind"] in ("Deployment", "StatefulSet")][-1]
        spec = copy.deepcopy(workers["spec"]["template"]["spec"])
        container = spec["containers"][-1]
        return cls(
            namespace=names.namespace(platform),
            account=spec["serviceAccountName"],
            image=image or container["image"],
            pull_policy=container["imagePullPolicy"],
            pull_secrets=tuple(each["name"] for each in spec.get("imagePullSecrets", ())),
            # By these `up` and `status` would take them for the platform's own: pruned, or not ready.
            labels={
                key: value
                for key, value in names.labels(platform, node, ROLE).items()
                if key not in (COMPONENT, MANAGED_BY)
            },
            selector=names.selector(platform, node.name, ROLE),
            security=spec["securityContext"],
            container_security=container["securityContext"],
            # Steps are the engine's: they start no tasks on the workers.
            env=[each for each in container["env"] if not each["name"].startswith("DASK_SCHEDULER")],
            resources=container["resources"],
            volumes=spec["volumes"],
            mounts=container["volumeMounts"],
            storage_class=platform.cluster.storage_class,
            policies=platform.cluster.network_policies,
        )

    def resources_of(self, step: Step) -> dict[str, Any]:
        """Requests and limits of a step: what the file says, and a worker's for what it does not.

        The file's memory and processors are what the step may take at most, and are reserved for it.
        """
        found = copy.deepcopy(self.resources)
        wanted = step.resources
        for name, value in (
            ("memory", wanted and wanted.memory),
            ("cpu", wanted and wanted.cpus and str(wanted.cpus)),
        ):
            if value:
                found["requests"][name] = found["limits"][name] = value
        return found
