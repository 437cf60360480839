"""How many processes a revision should have, from how many requests it has at once.

Knative's rule (https://knative.dev/docs/serving/autoscaling/kpa-specific/): requests at once divided by
what one process is meant to have; more are added as soon as they are needed, fewer are kept only after a
whole window of needing fewer.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

TARGET = 16
"""Requests at once for one process, where the document says nothing: what keeps a batch filled."""

RECENT = 2.0
"""Seconds over which the requests at once are averaged before processes are added."""


@dataclass(frozen=True)
class Bounds:
    """What the document allows: processes, requests at once for each, and seconds before fewer are kept."""

    least: int
    most: int
    target: int = TARGET
    window: float = 60.0

    @property
    def moves(self) -> bool:
        """Whether there is anything to decide."""
        return self.least != self.most


@dataclass
class Gauge:
    """One process's own count: requests under way, and the integral of them over time in seconds."""

    at: float
    in_flight: int
    busy: float
    requests: int


@dataclass
class Demand:
    """What a revision's processes had to do lately.

    A process that is asked for the first time, or again after a restart, only gives a beginning to measure
    from.
    """

    began: float
    _last: dict[str, Gauge] = field(default_factory=dict)
    _seen: deque[tuple[float, float]] = field(default_factory=deque)
    _used: float = 0.0

    def __post_init__(self) -> None:
        self._used = self.began

    def note(self, now: float, gauges: dict[str, Gauge]) -> None:
        """Take the counts of all its processes, read at about the same time."""
        at_once = 0.0
        for name, gauge in gauges.items():
            last = self._last.get(name)
            if last is not None and gauge.busy >= last.busy and gauge.at > last.at:
                at_once += (gauge.busy - last.busy) / (gauge.at - last.at)
                if gauge.requests != last.requests:
                    self._used = now
            else:
                at_once += gauge.in_flight
            if gauge.in_flight:
                self._used = now
        self._last = gauges
        self._seen.append((now, at_once))

    def wanted(self, now: float, bounds: Bounds, current: int) -> int:
        """How many processes there should be."""
        while self._seen and self._seen[0][0] < now - bounds.window:
            self._seen.popleft()
        recent = [value for at, value in self._seen if at >= now - RECENT]
        needed = math.ceil(sum(recent) / len(recent) / bounds.target) if recent else 0
        if needed > current:
            return min(needed, bounds.most)
        idle = now - self._used >= bounds.window
        most_lately = max((value for _, value in self._seen), default=0.0)
        floor = 0 if idle and bounds.least == 0 else 1
        if now - self.began < bounds.window:
            return max(current, bounds.least)
        kept = max(math.ceil(most_lately / bounds.target), floor, bounds.least)
        return min(max(kept, bounds.least), max(current, bounds.least), bounds.most)
