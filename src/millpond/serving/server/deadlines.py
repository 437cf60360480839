"""One timer for many short waits that all have the same limit.

A time-out of its own for each costs as much as a small prediction; here a wait is an entry in a dict, and
a timer looks at the oldest ones a few times within the limit. So a wait may last a quarter longer than that.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from types import TracebackType
from typing import Any


class Deadlines:
    """Used as ``with deadlines:`` around the wait of a task; one at a time for each task.

    Raises:
        TimeoutError: at the end of the block, when the wait was longer than `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._expired: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = monotonic()
        if self._timer is None:
            self._again()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.pop(task, None)
        if self._expired and task in self._expired:
            self._expired.discard(task)
            if task.uncancel() <= 0 and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from error

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(min(self.seconds / 4, 1.0), self._look)

    def _look(self) -> None:
        before = monotonic() - self.seconds
        for task, since in list(self._waiting.items()):
            if since > before:
                break  # the younger ones follow
            del self._waiting[task]
            self._expired.add(task)
            task.cancel()
        self._timer = None
        if self._waiting:
            self._again()
