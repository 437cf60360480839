"""What is known of each component while `up` works, gathered from events; the views draw it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millpond.model.events import ComponentEvent, Phase, Progress


@dataclass
class Row:
    """One component: its last event, and when its first one came."""

    name: str
    begun: float | None = None
    phase: Phase | None = None
    message: str = ""
    progress: Progress | None = None
    ended: float | None = None

    def seconds(self, now: float) -> float | None:
        """How long it has been at it; None where nothing was to be done."""
        if self.begun is None or self.phase is Phase.KEPT:
            return None
        return (self.ended or now) - self.begun

    @property
    def word(self) -> str:
        """Its phase as a word; ``queued`` before the first event."""
        return str(self.phase) if self.phase else "queued"

    @property
    def fraction(self) -> float | None:
        """How far its install is, from 0 to 1; None where that is not known."""
        if self.phase is not Phase.INSTALLING or self.progress is None or not self.progress.total:
            return None
        return min(self.progress.done / self.progress.total, 1.0)

    def describe(self) -> str:
        """What it does, in a few words."""
        if self.phase is Phase.INSTALLING and self.progress is not None:
            return f"{self.message} {amount(self.progress)}"
        return self.message


class Board:
    """The rows of all components, in the order of the graph.

    Args:
        names: the components that are expected; others are added as they come.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.rows = {name: Row(name) for name in names}
        self.failures: list[ComponentEvent] = []

    def take(self, event: ComponentEvent) -> Row:
        """Enter an event."""
        row = self.rows.setdefault(event.component, Row(event.component))
        row.begun = event.at if row.begun is None else row.begun
        row.phase, row.message, row.progress = event.phase, event.message, event.progress
        row.ended = event.at if event.phase.ended else None
        if event.phase is Phase.FAILED:
            self.failures.append(event)
        return row

    @property
    def up(self) -> int:
        """How many components are ready."""
        return sum(row.phase in (Phase.READY, Phase.KEPT) for row in self.rows.values())

    @property
    def working(self) -> bool:
        """Whether something still happens."""
        return any(row.phase is None or not row.phase.ended for row in self.rows.values())


def amount(progress: Progress) -> str:
    """How much of an install is done.

    >>> amount(Progress("pip", 3, 12, "packages")), amount(Progress("pip", 5_000_000, None, "bytes"))
    ('3/12 packages', '5.0 MB')
    """
    if progress.unit == "bytes":
        done = f"{progress.done / 1e6:.1f}"
        return f"{done}/{progress.total / 1e6:.1f} MB" if progress.total else f"{done} MB"
    return (
        f"{progress.done}/{progress.total} {progress.unit}"
        if progress.total
        else f"{progress.done} {progress.unit}"
    )
