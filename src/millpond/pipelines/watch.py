"""Watching over running steps: their time, their cancellation, their log, with one thread per process.

A step that is to stop has an exception raised in its thread. That reaches Python code at once, but
not code that stays inside one call of C (a sleep, a fit); a step that does not obey is reported as stuck.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from millpond.pipelines.capture import StepLog, captured
from millpond.pipelines.failure import StepCancelled, StepTimedOut

Result = TypeVar("Result")
_TICK = 0.05
_GRACE = 5.0
_SHOWN_AFTER = 0.05
_ASK_EVERY = 0.5

_running: set[_Run] = set()
_wake = threading.Condition()
_watcher: threading.Thread | None = None


class Watched:
    """What is to be watched over all attempts of a step.

    Args:
        begun: called once when the step runs long enough to be worth showing.
        timeout: seconds for each attempt, or None.
        cancelled: asked twice a second.
        stuck: called when the step was told to stop and does not; gets the reason.
    """

    def __init__(
        self,
        begun: Callable[[], None],
        timeout: float | None,
        cancelled: Callable[[], bool],
        stuck: Callable[[BaseException], None],
    ) -> None:
        self.begun = begun
        self.timeout = timeout
        self.cancelled = cancelled
        self.stuck = stuck
        self.shown = False


class _Run:
    """One attempt, in the thread that made it."""

    def __init__(self, watched: Watched, log: StepLog) -> None:
        self.watched = watched
        self.log = log
        self.start = self.asked = time.monotonic()
        self.thread = threading.get_ident()
        self.lock = threading.Lock()
        self.over = False
        self.reason: BaseException | None = None
        self.told = False

    def interrupt(self, reason: BaseException) -> None:
        """Raise the reason in the step's thread, once, and only while the step's code runs."""
        with self.lock:
            if not self.over and self.reason is None:
                self.reason, self.asked = reason, time.monotonic()
                _raise_in(self.thread, type(reason))

    def finish(self) -> None:
        """The step's code is over: nothing is raised in its thread from here on."""
        with self.lock:
            self.over = True
            if self.reason is not None:
                _raise_in(self.thread, None)


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Raise in a thread at its next step, or take back what was not raised yet (None)."""
    argument = ctypes.py_object(kind) if kind is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)


def limited(work: Callable[[], Result], watched: Watched, log: StepLog) -> Result:
    """Do `work` under watch, its prints going to `log`.

    Raises:
        StepTimedOut, StepCancelled: it was stopped; else whatever `work` raises.
    """
    run = _Run(watched, log)
    _watch(run)
    try:
        try:
            with captured(log):
                return work()
        finally:
            run.finish()
    except BaseException as error:
        # The interruption may have struck in `finish` itself; there is only ever one.
        run.finish()
        if run.reason is not None and isinstance(error, StepTimedOut | StepCancelled):
            raise run.reason from None
        raise
    finally:
        with _wake:
            _running.discard(run)


def alone() -> bool:
    """Whether at most one step runs in this process."""
    with _wake:
        return len(_running) <= 1


def _watch(run: _Run) -> None:
    global _watcher
    with _wake:
        _running.add(run)
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_loop, name="millpond-watch", daemon=True)
            _watcher.start()
        elif len(_running) == 1:
            _wake.notify()


def _loop() -> None:
    while True:
        time.sleep(_TICK)
        with _wake:
            while not _running:
                _wake.wait()
            runs = list(_running)
        for run in runs:
            if not run.over:
                _look(run, time.monotonic())


def _look(run: _Run, now: float) -> None:
    watched = run.watched
    if not watched.shown and now - run.start > _SHOWN_AFTER:
        watched.shown = True
        watched.begun()
    run.log.flush()
    if run.reason is not None:
        if now - run.asked > _GRACE and not run.told:
            run.told = True
            watched.stuck(run.reason)
    elif watched.timeout is not None and now - run.start > watched.timeout:
        run.interrupt(StepTimedOut(f"the step did not finish within {watched.timeout:g} s"))
    elif now - run.asked > _ASK_EVERY:
        run.asked = now
        if watched.cancelled():
            run.interrupt(StepCancelled("the run was cancelled"))
