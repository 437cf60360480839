"""Events: what the engine tells while it works. The live view, ``--json`` and the portal render them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Phase(StrEnum):
    """Where a component is on its way; the last five are ends."""

    INSTALLING = "installing"
    WAITING = "waiting"
    PREPARING = "preparing"
    STARTING = "starting"
    PROVISIONING = "provisioning"
    STOPPING = "stopping"
    READY = "ready"
    KEPT = "kept"
    STOPPED = "stopped"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to the component in this `up` or `down`."""
        return self in (Phase.READY, Phase.KEPT, Phase.STOPPED, Phase.FAILED, Phase.SKIPPED)


@dataclass(frozen=True)
class Progress:
    """How far an install is; `total` is None when it cannot be known. Units: bytes or packages."""

    what: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True)
class ComponentEvent:
    """A component entered a phase, or went on in it.

    Args:
        component: the node's name.
        phase: where it is now.
        at: seconds since the epoch.
        message: what is worth telling, such as what it waits for or why it failed.
        seconds: how long it took, on an end.
        progress: how far the install is.
        hint: what to do about a failure.
        details: more lines, such as the last ones of a log.
    """

    component: str
    phase: Phase
    at: float
    message: str = ""
    seconds: float | None = None
    progress: Progress | None = None
    hint: str | None = None
    details: tuple[str, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The event as ``--json`` prints it, without what is empty."""
        return {key: value for key, value in asdict(self).items() if value not in (None, "", ())}
