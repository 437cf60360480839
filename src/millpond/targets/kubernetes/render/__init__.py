"""Rendering: from a platform to the objects of a cluster, asking nothing and nobody.

Equal platforms render to equal bytes. What only the cluster can tell, such as secrets, stays a reference.
"""

from __future__ import annotations

from millpond.catalogue import Catalogue
from millpond.model.platform import Platform
from millpond.model.scope import secret_rule, user_values
from millpond.model.value import Place, Secret, Value
from millpond.targets.kubernetes.bundle import PLATFORM, Bundle, Object, SecretObject, Unit
from millpond.targets.kubernetes.render import names, routes
from millpond.targets.kubernetes.render.components import Components
from millpond.targets.kubernetes.render.realise import Realiser


def realiser(platform: Platform, catalogue: Catalogue) -> Realiser:
    """What realises a platform's values inside the cluster."""
    found = Realiser(platform, catalogue)

    def routes_path() -> Value:
        entrance = platform.gateway
        return Value((Place(entrance, "files", "routes.json"),)) if entrance else Value()

    found.special = {"routes": lambda: routes.static(platform, found), "routes_path": routes_path}
    return found


def render(platform: Platform, catalogue: Catalogue) -> Bundle:
    """Everything that the platform comes down to on a cluster.

    Raises:
        MillpondError: two components would have the same names, or a component cannot be rendered.
    """
    names.refuse_clashes(platform)
    found = realiser(platform, catalogue)
    components = Components(platform, catalogue, found)
    units = {PLATFORM: Unit(PLATFORM, tuple(_platform(platform, components)))}
    for name in platform.order:
        unit = components.unit(platform.nodes[name])
        units[unit.name] = unit
    _for_the_user(found, platform)
    return Bundle(platform.name, found.namespace, units, _secrets(found, platform), platform.notes)


def _for_the_user(found: Realiser, platform: Platform) -> None:
    """Secrets that no pod needs, but `millpond env` and `credentials` print."""
    values = [value for _, value in user_values(platform)]
    for name, node in platform.nodes.items():
        if node.component.service.credentials and node.recipe == "service":
            values.append(found.scope(name).value(node.component.service.credentials.password))
    for value in values:
        for atom in found.expand(value).atoms():
            if isinstance(atom, Secret):
                found.reference(Value((atom,)))


def _platform(platform: Platform, components: Components) -> list[Object]:
    """What belongs to no component: namespace, the policy that closes it, policies that are shipped."""
    labels = names.labels(platform)
    levels = ("enforce", "audit", "warn")
    security = {f"pod-security.kubernetes.io/{level}": "restricted" for level in levels}
    namespace: Object = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": names.namespace(platform), "labels": {**labels, **security}},
    }
    found = [namespace]
    if platform.policies.ship:
        from millpond.targets.kubernetes.policies import shipped

        found += shipped(platform)
    if platform.cluster.network_policies:
        found += components.network.closed()
    return found


def _secrets(found: Realiser, platform: Platform) -> tuple[SecretObject, ...]:
    """The Secrets that the objects speak of, sorted by name."""
    units = {names.resource(name, "secrets"): names.dns(name) for name in platform.nodes}
    secrets = []
    for name, texts in sorted(found.secrets.items()):
        owner = units.get(name) or next(
            (names.dns(node) for node in platform.nodes if name.startswith(f"{names.dns(node)}-for-")),
            PLATFORM,
        )
        lengths = {
            key: secret_rule(platform, atom).length
            for key, value in texts.items()
            for atom in value.parts
            if isinstance(atom, Secret)
        }
        secrets.append(SecretObject(name, dict(sorted(texts.items())), owner, lengths))
    return tuple(secrets)


__all__ = ["realiser", "render"]
