"""What all deployments of a platform share: their folders, their ports, and the parts that do the work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from millpond.serving.controller.artifacts import ArtifactStore
from millpond.serving.controller.observer import Observer
from millpond.serving.controller.processes import Processes, free_port
from millpond.serving.controller.routes import Routes
from millpond.serving.controller.store import Replica, Store


@dataclass
class Site:
    """Where deployments live.

    Args:
        store: where they are remembered.
        artifacts: where their models' files are.
        processes: who runs them.
        routes: who leads traffic to them.
        observer: who is told what to note of their predictions, and who knows what was noted.
        ports: which ports they may have.
        logs: folder of their logs.
        data: the controller's folder, for the locks of models' own environments.
        router: port of the place where requests wait for a process; None when there is none.
        taken: all ports that replicas have.
    """

    store: Store
    artifacts: ArtifactStore
    processes: Processes
    routes: Routes
    observer: Observer
    ports: range
    logs: Path
    data: Path
    router: int | None = None
    taken: Callable[[], set[int]] = field(default=set)

    def replica(self, number: int, *, grpc: bool) -> Replica:
        """A replica with ports of its own.

        Raises:
            MillpondError: none is left.
        """
        taken = self.taken()
        port = free_port(self.ports, taken)
        return Replica(number, port, free_port(self.ports, {*taken, port}) if grpc else 0)
