"""Where predictions are made: on the event loop while that is quick, in threads if not, together if it helps.

A request becomes a `Job`: how it is read, and how its answer is written. Jobs that are there at the same
moment are taken together; nobody waits for others unless ``--batch-wait`` says so. A model whose framework
is known to compute and nothing else, and that was seen to take a millisecond or so, runs on the event loop
itself, because handing a job to a thread and back costs more than such a prediction. Any other runs in the
predicting threads, so that health is answered meanwhile; one thread is the default, because not every
framework's predict may be called twice at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from time import monotonic, thread_time
from typing import Any

from millpond.serving.server.batching import Job, work
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import NotReady, Overdue
from millpond.serving.server.tensors import Prediction, Request

_COMPUTING = frozenset({"sklearn", "xgboost", "lightgbm", "catboost", "onnx"})
"""Frameworks that compute and do not wait for anything, so that what was quick stays quick."""
_INLINE_BYTES = 32 * 1024
_INLINE_SECONDS = 0.004
"""A call of the model may hold up the event loop for this long, as a mean."""
_SLOW_SECONDS = 0.02
"""One call of the model that takes this long is enough to leave the event loop."""
_AUTO_JOBS = 64


@dataclass(frozen=True)
class Batching:
    """What the command line says of batches: `rows` at most (None: as it comes), `wait` in milliseconds."""

    rows: int | None = None
    wait: float = 0.0
    off: bool = False


class Engine:
    """Takes jobs on the event loop and answers each.

    `timeout` (seconds, 0 for none) is how long a job may take before it is answered without a prediction; a
    model that is at one call for longer makes `stuck` true, since a thread cannot be taken back from it.
    """

    def __init__(
        self, plane: DataPlane, *, threads: int = 1, timeout: float = 60.0, batching: Batching | None = None
    ) -> None:
        self.plane = plane
        self.timeout = timeout
        self.batching = batching or Batching()
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._free = threads
        self._waiting: deque[Job] = deque()
        self._near: list[Job] = []
        self._flush: asyncio.Handle | None = None
        self._running: dict[int, float] = {}
        self._number = 0
        self._seconds: float | None = None
        self._calls = 0
        self._jobs = 0

    async def predict(
        self, read: Callable[[], Request], write: Callable[[Request, Prediction], Any], size: int = 0
    ) -> Any:
        """What `write` makes of the prediction for what `read` gives; both may run in another thread.

        Args:
            read: the request; may raise a RequestError.
            write: the answer, from the request and its prediction.
            size: bytes of the request, as far as known: large ones never hold up the event loop.

        Raises:
            RequestError: of `read`, `write` or the model; `NotReady`, `Overdue`.
        """
        plane = self.plane
        if plane.model is None:
            raise NotReady(plane.name)
        loop = asyncio.get_running_loop()
        job = Job(read, write, loop.create_future())
        if size <= _INLINE_BYTES and self.quick:
            self._near.append(job)
            if self._flush is None or (self.batching.rows and len(self._near) >= self.batching.rows):
                self._arrange(loop)
            return await job.future
        self._waiting.append(job)
        if self._waits and len(self._waiting) < (self.batching.rows or _AUTO_JOBS):
            loop.call_later(self.batching.wait / 1000, self._start)
        else:
            self._start()
        if not self.timeout:
            return await job.future
        try:
            async with asyncio.timeout(self.timeout):
                return await job.future
        except TimeoutError:
            raise Overdue(self.timeout) from None

    @property
    def quick(self) -> bool:
        """Whether predictions run on the event loop."""
        model = self.plane.model
        if model is None or model.loaded.framework not in _COMPUTING or not model.direct:
            return False
        seconds = self._seconds if self._seconds is not None else model.seconds
        return seconds is not None and seconds < _INLINE_SECONDS

    @property
    def stuck(self) -> bool:
        """Whether the model is at one call for longer than any request may take."""
        if not self.timeout or not self._running:
            return False
        return monotonic() - min(self._running.values()) > self.timeout

    @property
    def busy(self) -> bool:
        """Whether a thread predicts, be it for nobody."""
        return bool(self._running)

    def page(self) -> dict[str, Any]:
        """What ``/stats`` says of batches."""
        model = self.plane.model
        return {
            "joins": model is not None and self._joins(model),
            "reason": model.joins_reason if model is not None else "the model is loading",
            "inline": self.quick,
            "calls": self._calls,
            "jobs": self._jobs,
            "seconds_per_call": self._seconds,
        }

    @property
    def _waits(self) -> bool:
        """Whether a job waits for others: only where they would be joined."""
        model = self.plane.model
        return self.batching.wait > 0 and model is not None and self._joins(model)

    def _joins(self, model: Any) -> bool:
        """Whether requests are predicted together; a number of rows is the user's own word for it."""
        if self.batching.off:
            return False
        return bool(model.joins or (self.batching.rows is not None and model.joins is None))

    def _arrange(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that the jobs at hand are predicted when the loop has taken what else has arrived."""
        full = self.batching.rows is not None and len(self._near) >= self.batching.rows
        if self._flush is not None:
            self._flush.cancel()
        if self._waits and not full:
            self._flush = loop.call_later(self.batching.wait / 1000, self._run_near)
        else:
            self._flush = loop.call_soon(self._run_near)

    def _run_near(self) -> None:
        self._flush = None
        jobs = [job for job in self._near if not job.future.done()]  # who hung up wants nothing more
        self._near = []
        model = self.plane.model
        assert model is not None
        began = thread_time()
        work(self.plane, model, jobs, self._joins(model), self.batching.rows)
        self._measure(thread_time() - began, len(jobs))
        for job in jobs:
            job.settle()

    def _start(self) -> None:
        """Give what waits to the threads that are free."""
        model = self.plane.model
        while self._free and self._waiting and model is not None:
            most = (self.batching.rows or _AUTO_JOBS) if self._joins(model) else 1
            share = min(-(-len(self._waiting) // self._free), most)
            jobs = [self._waiting.popleft() for _ in range(share)]
            jobs = [job for job in jobs if not job.future.done()]  # nobody waits for the others any more
            if not jobs:
                continue
            self._free -= 1
            self._number += 1
            number = self._number
            self._running[number] = monotonic()
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self.pool, self._work, model, jobs)
            future.add_done_callback(partial(self._done, number, jobs))

    def _work(self, model: Any, jobs: list[Job]) -> float:
        began = thread_time()
        work(self.plane, model, jobs, self._joins(model), self.batching.rows)
        return thread_time() - began

    def _done(self, number: int, jobs: list[Job], future: asyncio.Future[float]) -> None:
        self._free += 1
        self._running.pop(number, None)
        if not future.cancelled() and future.exception() is None:
            self._measure(future.result(), len(jobs))
        for job in jobs:
            job.settle()
        self._start()

    def _measure(self, seconds: float, jobs: int) -> None:
        """A mean of processor seconds per call that forgets slowly; what was far too slow counts at once."""
        self._calls += 1
        self._jobs += jobs
        before = self._seconds
        if before is None:
            self._seconds = seconds
        elif seconds > _SLOW_SECONDS:
            self._seconds = max(seconds, before)
        else:
            self._seconds = before + 0.05 * (seconds - before)
