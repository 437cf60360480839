"""The recent past of one deployment in memory: bounded in bytes, the oldest go first.

Bodies stay as they came until an analysis asks what is in them. Readers get a list of their own, so that a
long analysis holds nobody up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable

from millpond.serving.monitor.record import Entry, Feedback, Gap, Prediction

MEMORY = 192 * 1024 * 1024


class Window:
    """Predictions, feedback and gaps; `limit` is in bytes, for all of them together."""

    def __init__(self, limit: int = MEMORY) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        self._size = 0
        self._forgotten: float | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        """Take entries in, and let the oldest go where they do not fit."""
        with self._lock:
            for entry in entries:
                self._entries.append(entry)
                self._size += entry.size
            while self._size > self.limit and self._entries:
                gone = self._entries.popleft()
                self._size -= gone.size
                self._forgotten = max(self._forgotten or 0.0, gone.time)

    @property
    def forgotten(self) -> float | None:
        """The time up to which entries were let go, in Unix seconds; None when all are here."""
        return self._forgotten

    def forget_before(self, when: float) -> None:
        """Note that there may be older entries elsewhere, which were not read in."""
        with self._lock:
            self._forgotten = max(self._forgotten or 0.0, when)

    def entries(self) -> list[Entry]:
        """All that is here, oldest first by arrival at the monitor."""
        with self._lock:
            return list(self._entries)


class View:
    """Entries, and the questions that every analysis asks of them; `complete` when none is left out."""

    def __init__(self, entries: Iterable[Entry], complete: bool = True) -> None:
        self.complete = complete
        self.predictions: list[Prediction] = []
        self.feedback: list[Feedback] = []
        self.gaps: list[Gap] = []
        for entry in entries:
            if isinstance(entry, Prediction):
                self.predictions.append(entry)
            elif isinstance(entry, Feedback):
                self.feedback.append(entry)
            else:
                self.gaps.append(entry)

    def of(
        self,
        revision: str | None = None,
        since: float | None = None,
        until: float | None = None,
        shadow: bool | None = None,
    ) -> list[Prediction]:
        """The predictions of a revision in a time, mirrored ones or others only where asked for."""
        return [
            entry
            for entry in self.predictions
            if (revision is None or entry.revision == revision)
            and (since is None or entry.time >= since)
            and (until is None or entry.time < until)
            and (shadow is None or entry.shadow is shadow)
        ]

    def revisions(self) -> list[str]:
        """The revisions that are in it, by their first prediction."""
        return list(dict.fromkeys(entry.revision for entry in self.predictions))
