"""A platform's values for the user's machine: addresses of forwarded ports, secrets read from the cluster."""

from __future__ import annotations

from collections.abc import Mapping

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.model.platform import Platform
from millpond.model.scope import user_values
from millpond.model.value import Endpoint, Part
from millpond.targets.kubernetes.render.realise import Realiser, Reference, Variables

LOOPBACK = "127.0.0.1"
Ports = Mapping[tuple[str, str], int]
"""Local port numbers by node and port name."""


class UserSide(Realiser):
    """Realises values for programs on the user's machine.

    Args:
        platform: the platform.
        catalogue: where its components stand.
        secrets: the values of the platform's Secrets, by Secret and key.
        ports: the forwarded ports.
    """

    def __init__(
        self,
        platform: Platform,
        catalogue: Catalogue,
        secrets: Mapping[Reference, str],
        ports: Ports,
    ) -> None:
        super().__init__(platform, catalogue)
        self._values = secrets
        self._forwarded = ports

    def _part(self, part: Part, variables: Variables | None) -> str:
        if not isinstance(part, str):
            reference = self._reference(part)
            if reference is not None:
                if reference not in self._values:
                    raise MillpondError(
                        f"the Secret {reference.secret} with the key {reference.key} is not in the cluster",
                        hint="millpond up makes it",
                    )
                return self._values[reference]
        return super()._part(part, variables)

    def _endpoint(self, atom: Endpoint) -> str:
        number = self._forwarded.get((atom.node, atom.port))
        if number is None:
            return super()._endpoint(atom)
        return atom.text(LOOPBACK, number)

    def environment(self) -> dict[str, str]:
        """What user code finds in its environment: every interface of the platform, secrets included."""
        found: dict[str, str] = {}
        for name, value in user_values(self.platform):
            text = self.text(value)
            if text:
                found[name] = text
        return found


def wanted(platform: Platform) -> list[tuple[str, str]]:
    """The ports that user code and browsers need: (node, port), sorted."""
    found = set()
    for _, value in user_values(platform):
        found |= {(atom.node, atom.port) for atom in value.atoms() if isinstance(atom, Endpoint)}
    for name, node in platform.nodes.items():
        opened = node.component.service.open
        if opened and node.recipe == "service":
            found.add((name, opened.port))
    return sorted(found)
