"""Who collects ended children: one place, so that adopted grandchildren are collected as well."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

from millpond.targets.local.supervisor.processes import LINUX

_PR_SET_CHILD_SUBREAPER = 36


class Reaper:
    """Calls back with the exit code (negative: the signal) of each child that it was told of.

    Whoever starts a process has to watch it in the same turn of the event loop.
    """

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}

    def open(self) -> None:
        """Start collecting; on Linux, grandchildren whose parents have ended become children here."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._collect)
        if LINUX:
            import ctypes

            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call ``ended`` with the exit code once."""
        self._watched[pid] = ended

    def _collect(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._watched.pop(pid, None)
            if ended:
                ended(os.waitstatus_to_exitcode(status))
