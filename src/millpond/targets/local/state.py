"""What was last applied: ports, digests, and which jobs have been done. Holds no secret."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError
from millpond.model.plan import Facts
from millpond.targets.local.workspace import write_private

FORMAT = 1


@dataclass
class NodeState:
    """What is known of one component.

    Args:
        component: the catalogue's entry.
        ports: the port numbers, found once and kept.
        digest: the hash of its resolved inputs when it was last started; empty before.
        inputs: these inputs as a person may read them.
        processes: the names that the supervisor knows its processes by.
        prepared: the digest of the preparing jobs that were last done.
        provisions: by asker and requirement, the digest of what was made for it.
        routes: the digest of the routes that it was told, of a gateway.
    """

    component: str
    ports: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    processes: list[str] = field(default_factory=list)
    prepared: str = ""
    provisions: dict[str, str] = field(default_factory=dict)
    routes: str = ""


class State:
    """The state file, read once and written whole after each change."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.nodes: dict[str, NodeState] = {}
        self.platform = ""
        if path.exists():
            self._read()

    def _read(self) -> None:
        try:
            data: dict[str, Any] = json.loads(self._path.read_text())
            if data["format"] > FORMAT:
                raise MillpondError(
                    f"{self._path} was written by a newer Millpond", hint="update this one before you go on"
                )
            self.platform = data["platform"]
            self.nodes = {name: NodeState(**node) for name, node in data["nodes"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise MillpondError(
                f"{self._path} cannot be read: {error}",
                hint="restore it from a backup, or remove it: data and secrets are kept elsewhere",
            ) from None

    def save(self) -> None:
        """Write it, in one step."""
        nodes = {name: asdict(node) for name, node in self.nodes.items()}
        data = {"format": FORMAT, "platform": self.platform, "nodes": nodes}
        write_private(self._path, json.dumps(data, indent=1) + "\n")

    def facts(self) -> dict[str, Facts]:
        """What was last applied, of every node that has been started."""
        return {name: Facts(node.digest, node.inputs) for name, node in self.nodes.items() if node.digest}
