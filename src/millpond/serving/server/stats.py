"""How busy the process is, for whoever scales it: requests in flight, and their integral over time."""

from __future__ import annotations

from time import monotonic
from typing import Any


class Stats:
    """Counts requests to predict; used on the event loop alone.

    `busy_seconds` is the integral of the requests in flight over time, so two readings give the mean
    concurrency between them, however short the requests were.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.requests = 0
        self.errors = 0
        self._busy = 0.0
        self._at = monotonic()

    def begin(self) -> None:
        """A request has arrived."""
        now = monotonic()
        self._busy += self.in_flight * (now - self._at)
        self._at = now
        self.in_flight += 1

    def end(self, status: int) -> None:
        """It was answered."""
        now = monotonic()
        self._busy += self.in_flight * (now - self._at)
        self._at = now
        self.in_flight -= 1
        self.requests += 1
        if status >= 500:
            self.errors += 1

    @property
    def busy_seconds(self) -> float:
        """Request-seconds since the start; it never goes back."""
        return self._busy + self.in_flight * (monotonic() - self._at)

    def page(self) -> dict[str, Any]:
        """The counts as ``/stats`` gives them."""
        return {
            "in_flight": self.in_flight,
            "busy_seconds": self.busy_seconds,
            "requests": self.requests,
            "errors": self.errors,
        }
