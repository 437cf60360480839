"""What the log says, one object per entry: a prediction, an outcome reported for one, a gap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Prediction:
    """One request and its answer.

    `time` is its arrival in Unix seconds, `ms` the latency in milliseconds. The bodies are as they
    came; `request` or `response` is empty where the log leaves it out. `read` is a place for what
    `bodies` makes of them, which is done when first asked for and not before.
    """

    id: str
    revision: str
    time: float
    ms: float
    status: int
    protocol: str
    path: str
    shadow: bool
    request_type: str | None
    request_header: int | None
    request: bytes
    response_type: str | None
    response_header: int | None
    response: bytes
    read: Any = field(default=None, repr=False, compare=False)

    @property
    def failed(self) -> bool:
        """Whether the model or its server failed; a client's own mistake (4xx) is none."""
        return self.status >= 500

    @property
    def answered(self) -> bool:
        """Whether there is a prediction in it."""
        return 200 <= self.status < 300

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, about: the bodies, and what is read in them later."""
        return 3 * (len(self.request) + len(self.response)) + 1000


@dataclass(slots=True)
class Feedback:
    """What became of a prediction: a reward, the truth, or both; `revision` is who took the message."""

    id: str
    revision: str
    time: float
    body: bytes

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, about."""
        return len(self.body) + 300


@dataclass(slots=True)
class Gap:
    """Predictions that are not in the log; `count` is None where nobody can know it.

    `reason` is ``crash`` (a server died, up to its last second is missing), ``queue`` (a server
    wrote faster than its disk), ``disk`` (the lake was away for so long that events had to be
    given up), or ``unreadable`` (a segment that is none).
    """

    revision: str
    time: float
    reason: str
    count: int | None = None
    segment: str | None = None

    @property
    def size(self) -> int:
        """Bytes that it holds in memory, about."""
        return 300


Entry = Prediction | Feedback | Gap
