"""What a step prints and logs, caught on a worker that may run several steps at once.

The process's ``sys.stdout`` and ``sys.stderr`` are replaced once by a pair that hands each line to the step
whose context wrote it. Threads that a step starts carry no context; their lines go to the step when it is
the only one.
"""

from __future__ import annotations

import contextvars
import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

_LARGEST = 8 << 20
_EVERY = 0.1
_WORKERS_LOGS = ("distributed", "tornado", "asyncio")
# Libraries that tell of every connection and font.
_CHATTY = ("botocore", "boto3", "s3transfer", "urllib3", "fsspec", "s3fs", "matplotlib", "PIL", "alembic")
# Threads of a worker that are not a step's; what they print is no part of its log.
_WORKERS_OWN = (
    "MainThread",
    "IO loop",
    "Profile",
    "Dask-",
    "asyncio",
    "TCP-",
    "AsyncProcess",
    "Offload",
    "millpond-",
)

_current: contextvars.ContextVar[StepLog | None] = contextvars.ContextVar("millpond_step_log", default=None)
_active: list[StepLog] = []
_lock = threading.Lock()


class StepLog:
    """The log of one running step; hands on text at most ten times a second."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._size = 0
        self._last = 0.0

    def write(self, text: str) -> None:
        """Add text; after 8 MiB the rest is dropped, and the log says so."""
        with self._lock:
            if self._size > _LARGEST:
                return
            self._size += len(text)
            self._waiting.append(text)
            if self._size > _LARGEST:
                self._waiting.append("\n… the log is longer than 8 MiB; the rest is not kept\n")
            due = time.monotonic() - self._last > _EVERY and text.endswith("\n")
        if due:
            self.flush()

    def flush(self) -> None:
        """Hand on what waits."""
        with self._lock:
            text, self._waiting = "".join(self._waiting), []
            self._last = time.monotonic()
            if text:
                self._send(text)


class _Stream(io.TextIOBase):
    """Stands in for a standard stream."""

    def __init__(self, original: TextIO) -> None:
        self._original = original

    def write(self, text: str) -> int:
        log = _log()
        if log is None:
            return self._original.write(text)
        log.write(text)
        return len(text)

    def flush(self) -> None:
        if _log() is None:
            self._original.flush()

    def fileno(self) -> int:
        return self._original.fileno()

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _Handler(logging.Handler):
    """Sends log records to the step; those of Dask itself stay with the worker."""

    def emit(self, record: logging.LogRecord) -> None:
        log = _log()
        quiet = record.levelno < logging.WARNING and record.name.startswith(_CHATTY)
        if log is not None and not quiet and not record.name.startswith(_WORKERS_LOGS):
            log.write(self.format(record) + "\n")


def _log() -> StepLog | None:
    log = _current.get()
    if log is not None or len(_active) != 1:
        return log
    own = threading.current_thread().name.startswith(_WORKERS_OWN)
    return None if own else _active[0]


def install() -> None:
    """Put the streams and the handler in place, once per process and again where something replaced them."""
    with _lock:
        if not isinstance(sys.stdout, _Stream):
            sys.stdout = _Stream(sys.stdout)
        if not isinstance(sys.stderr, _Stream):
            sys.stderr = _Stream(sys.stderr)
        root = logging.getLogger()
        if not any(isinstance(handler, _Handler) for handler in root.handlers):
            handler = _Handler(logging.INFO)
            handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
            root.addHandler(handler)
            if root.level == logging.NOTSET or root.level > logging.INFO:
                root.setLevel(logging.INFO)


@contextmanager
def captured(log: StepLog) -> Iterator[None]:
    """Everything that this context prints goes to `log`."""
    install()
    token = _current.set(log)
    with _lock:
        _active.append(log)
    try:
        yield
    finally:
        with _lock:
            _active.remove(log)
        _current.reset(token)
        log.flush()
