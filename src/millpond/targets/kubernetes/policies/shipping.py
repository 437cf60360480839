"""The policies as objects of a cluster; they hold in the platform's namespace alone."""

from __future__ import annotations

from millpond.model.platform import Platform
from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY, MANAGER, PART_OF, PLATFORM, Object
from millpond.targets.kubernetes.policies import admission, gatekeeper
from millpond.targets.kubernetes.policies.policy import holding


def shipped(platform: Platform) -> list[Object]:
    """What is applied for the unit `platform`; nothing when nothing is shipped.

    The names carry the platform's, as all of it is the whole cluster's, and two platforms may share one.
    Templates come before the constraints that Gatekeeper makes them take.
    """
    namespace = platform.cluster.namespace or platform.name
    told = platform.policies
    held = [each for each in holding(told) if each.shipped]
    found: list[Object] = []
    if "admission" in told.ship:
        for each in held:
            name = f"{platform.name}.{each.name}"
            found.append(admission.policy(each, name, labels(platform, each.name), each.values(told)))
            found.append(admission.binding(name, labels(platform, each.name), namespace))
    if "gatekeeper" in told.ship:
        kinds = {each.name: gatekeeper.kind(platform.name, each.name) for each in held}
        found += [gatekeeper.template(each, kinds[each.name], labels(platform, each.name)) for each in held]
        found += [
            gatekeeper.constraint(
                each, kinds[each.name], labels(platform, each.name), namespace, each.values(told)
            )
            for each in held
        ]
    return found


def labels(platform: Platform, name: str) -> dict[str, str]:
    """The labels of every object of a bundle."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": PLATFORM,
        PART_OF: platform.name,
        MANAGED_BY: MANAGER,
        COMPONENT: PLATFORM,
    }
