"""Values become text: the local face of every atom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from millpond.model.errors import MillpondError
from millpond.model.platform import Platform
from millpond.model.scope import Scope, secret_rule
from millpond.model.value import Atom, Elsewhere, Endpoint, Fact, Filtered, Listen, Place, Secret, Value
from millpond.targets.elsewhere import elsewhere
from millpond.targets.local.installs import Install
from millpond.targets.local.quarters import Quarters
from millpond.targets.local.secrets import Secrets
from millpond.targets.local.state import State
from millpond.targets.local.workspace import Workspace

LOOPBACK = "127.0.0.1"


class Realiser:
    """Tells every atom of a platform on this machine.

    Args:
        installs: where the parts of a node are; a node that is not in it gets a symbol instead, which is
            enough for a digest.
    """

    def __init__(
        self,
        platform: Platform,
        workspace: Workspace,
        state: State,
        secrets: Secrets,
        quarters: Mapping[str, Quarters],
        installs: Mapping[str, Install],
    ) -> None:
        self.platform = platform
        self.workspace = workspace
        self.state = state
        self.secrets = secrets
        self.quarters = quarters
        self.installs = installs

    def scope(self, node: str) -> Scope:
        """The scope of a node's own expressions."""
        return Scope(self.platform, self.platform.nodes[node])

    def text(self, value: Value) -> str:
        """The text of a linked value."""
        return value.realise(self.atom)

    def template(self, node: str, template: str) -> str:
        """The text of a template of a node's component file."""
        return self.text(self.scope(node).value(template))

    def atom(self, atom: Atom) -> str:
        """The text of one atom.

        Raises:
            MillpondError: it stands in an environment variable or file that is not there.
        """
        match atom:
            case Secret():
                return self.secrets.get(atom, secret_rule(self.platform, atom))
            case Endpoint():
                return atom.text(LOOPBACK, self._port(atom.node, atom.port))
            case Listen():
                return LOOPBACK if atom.port is None else str(self._port(atom.node, atom.port))
            case Place():
                return self._place(atom)
            case Elsewhere():
                return elsewhere(atom)
            case Fact():
                return self._fact(atom.name)
            case Filtered():
                raise MillpondError(f"{atom.filter} is known on a cluster only")
        assert_never(atom)

    def _fact(self, name: str) -> str:
        facts = {
            "run": str(self.workspace.run),
            "project": str(self.workspace.project),
            "domain": "localhost",
            "https": "false",
            # The gateway is told its routes when all that they lead to is up, so there is no file of them.
            "routes": "",
            "routes_path": "",
            "storage_class": "",
        }
        return facts[name]

    def _port(self, node: str, port: str) -> int:
        return self.state.nodes[node].ports[port]

    def _place(self, atom: Place) -> str:
        quarters = self.quarters[atom.node]
        match atom.kind:
            case "volumes":
                return str(quarters.volume(atom.name))
            case "files":
                return str(quarters.files / atom.name)
            case "folder":
                return str(quarters.folder)
        install = self.installs.get(atom.node)
        if install is None:
            return f"<{atom.node}.install.{atom.name}>"
        if atom.name == "bin":
            return str(install.bin[0])
        path = install.paths.get(atom.name)
        if path is None:
            raise MillpondError(f"{atom.node}: its install has no part {atom.name}")
        return str(path)
