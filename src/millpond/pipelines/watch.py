"""Watching over running steps: their time, their cancellation, their log, with one thread per process.

A step's code runs in a thread of its own, into which an exception can be raised. Code that never returns
to Python (a loop in C) cannot be stopped so; it is reported as stuck.
"""

from __future__ import annotations

import contextvars
import ctypes
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from millpond.pipelines.capture import StepLog, captured
from millpond.pipelines.failure import StepCancelled, StepTimedOut

Result = TypeVar("Result")
_TICK = 0.05
_GRACE = 5.0
_SHOWN_AFTER = 0.05

_running: set[_Run] = set()
_wake = threading.Condition()
_watcher: threading.Thread | None = None


class Watched:
    """What is to be watched over all attempts of a step.

    Args:
        begun: called once when the step runs long enough to be worth showing.
        timeout: seconds for each attempt, or None.
        cancelled: asked twice a second.
    """

    def __init__(
        self, begun: Callable[[], None], timeout: float | None, cancelled: Callable[[], bool]
    ) -> None:
        self.begun = begun
        self.timeout = timeout
        self.cancelled = cancelled
        self.shown = False
        self.stuck = False


class _Run:
    def __init__(self, watched: Watched, log: StepLog) -> None:
        self.watched = watched
        self.log = log
        self.start = time.monotonic()
        self.asked = self.start
        self.thread = 0
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.reason: BaseException | None = None
        self.result: Any = None
        self.error: BaseException | None = None

    def interrupt(self, reason: BaseException) -> None:
        """Raise the reason in the step's thread, unless the step is over."""
        with self.lock:
            if self.over.is_set() or self.reason is not None:
                return
            self.reason = reason
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.thread), ctypes.py_object(type(reason))
            )


def limited(work: Callable[[], Result], watched: Watched, log: StepLog) -> Result:
    """Run `work` in a thread that is watched, and return or raise what it does.

    Raises:
        StepTimedOut, StepCancelled: it was stopped; `watched.stuck` says that it did not obey.
    """
    run = _Run(watched, log)
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: context.run(_work, run, work), name="millpond-step", daemon=True)
    thread.start()
    _watch(run)
    try:
        while not run.over.wait(0.25):
            if run.reason is not None and time.monotonic() - run.asked > _GRACE:
                watched.stuck = True
                raise type(run.reason)(f"{run.reason}, and it does not stop")
    finally:
        with _wake:
            _running.discard(run)
        log.flush()
    if run.reason is not None:
        raise run.reason
    if run.error is not None:
        raise run.error
    result: Result = run.result
    return result


def alone() -> bool:
    """Whether no step is watched in this process."""
    with _wake:
        return not _running


def _work(run: _Run, work: Callable[[], Any]) -> None:
    run.thread = threading.get_ident()
    try:
        try:
            with captured(run.log):
                run.result = work()
        except BaseException as error:
            run.error = error
        finally:
            with run.lock:
                run.over.set()
    except BaseException as error:  # the interruption arrived between two lines of ours
        run.error = error
        run.over.set()


def _watch(run: _Run) -> None:
    global _watcher
    with _wake:
        _running.add(run)
        if _watcher is None or not _watcher.is_alive():
            _watcher = threading.Thread(target=_loop, name="millpond-watch", daemon=True)
            _watcher.start()
        _wake.notify()


def _loop() -> None:
    while True:
        with _wake:
            while not _running:
                _wake.wait()
            runs = list(_running)
        time.sleep(_TICK)
        for run in runs:
            _look(run, time.monotonic())


def _look(run: _Run, now: float) -> None:
    watched = run.watched
    if run.over.is_set():
        return
    if not watched.shown and now - run.start > _SHOWN_AFTER:
        watched.shown = True
        watched.begun()
    run.log.flush()
    if watched.timeout is not None and now - run.start > watched.timeout:
        if run.reason is None:
            run.asked = now
        run.interrupt(StepTimedOut(f"the step did not finish within {watched.timeout:g} s"))
    elif now - run.asked > 0.5 and run.reason is None:
        run.asked = now
        if watched.cancelled():
            run.interrupt(StepCancelled("the run was cancelled"))
