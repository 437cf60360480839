"""Units: one component of the platform with all its objects, whatever its recipe."""

from __future__ import annotations

from millpond.catalogue import Catalogue
from millpond.model.platform import Binding, Node, Platform
from millpond.targets.kubernetes.bundle import Object, Unit
from millpond.targets.kubernetes.render import names, routes
from millpond.targets.kubernetes.render.network import Network
from millpond.targets.kubernetes.render.realise import Realiser
from millpond.targets.kubernetes.render.workloads import Workload


class Components:
    """Renders the nodes of one platform."""

    def __init__(self, platform: Platform, catalogue: Catalogue, realiser: Realiser) -> None:
        self.platform = platform
        self.catalogue = catalogue
        self.realiser = realiser
        self.network = Network(platform, realiser)

    def unit(self, node: Node) -> Unit:
        """The unit of a node."""
        waits_for = tuple(names.dns(name) for name in node.waits_for)
        if node.chart:
            return self._chart(node, waits_for)
        image = self.image(node)
        entry = self.catalogue.entry(node.component.name)
        workload = Workload(self.platform, node, entry, self.realiser, image)
        objects = workload.objects()
        jobs = [
            job
            for asker, binding in self.platform.askers(node.name)
            for job in self._job(workload, asker, binding)
        ]
        if self.platform.cluster.network_policies:
            # Before the workload, so that no pod is ever open.
            several = bool(jobs) or workload.several
            objects.insert(1, self.network.of(node, several=several))
        route = routes.route(self.platform, node, self.realiser)
        if route:
            objects.append(route)
        return Unit(names.dns(node.name), tuple(objects), tuple(jobs), waits_for)

    def image(self, node: Node) -> str:
        """The image of a node: the one that the flavour names, or Millpond's own of the component."""
        from millpond.targets.kubernetes.images.names import image

        if node.image:
            return node.image
        entry = self.catalogue.entry(node.component.name)
        return image(entry, self.platform.cluster, cuda=node.resources.gpu > 0)

    def _job(self, workload: Workload, asker: str, binding: Binding) -> list[Object]:
        """What makes the thing that an asker requested: a database, a bucket, a key."""
        node = workload.node
        job = node.component.provides[binding.provision].provision
        if job is None:
            return []
        scope = workload.pods.scope.provided(asker, binding)
        labels = names.labels(self.platform, node, "provision")
        name = names.resource(node.name, "for", asker, binding.requirement)
        return [workload.job(name, workload.pods.job("provision", job, scope, labels), job.timeout)]

    def _chart(self, node: Node, waits_for: tuple[str, ...]) -> Unit:
        from millpond.targets.kubernetes.charts import release

        entry = self.catalogue.entry(node.component.name)
        found = release(node, entry, self.realiser)
        objects: list[Object] = []
        if found.namespace != self.realiser.namespace:
            objects.append(
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": found.namespace, "labels": names.labels(self.platform, node)},
                }
            )
        return Unit(names.dns(node.name), tuple(objects), (), waits_for, found)
