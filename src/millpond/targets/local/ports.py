"""Ports: found free once, then kept for as long as the platform exists."""

from __future__ import annotations

from millpond.model.errors import MillpondError
from millpond.targets.local.supervisor.listeners import listeners
from millpond.targets.ports import is_free


class PortTakenError(MillpondError):
    """A port that the platform has kept is used by somebody else."""


def require(component: str, name: str, port: int) -> None:
    """Make sure that a port which the platform has kept can be used.

    Raises:
        PortTakenError: it cannot; says by whom, as far as it can be found out.
    """
    if is_free(port):
        return
    holder = listeners(port)
    raise PortTakenError(
        f"{component}: port {port} ({name}) is taken" + (f" by {holder}" if holder else ""),
        hint=f"stop that, or let millpond find another port: millpond up --new-ports {component}",
    )
