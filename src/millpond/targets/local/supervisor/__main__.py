"""``python -m millpond.targets.local.supervisor RUN``: become the supervisor of a run directory.

Ends at once, and quietly, when there is one already.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from millpond.targets.local.supervisor import logs, protocol
from millpond.targets.local.supervisor.register import end_leftovers
from millpond.targets.local.supervisor.server import serve

_PATIENCE_WITH_PREDECESSOR = 30.0
_WANTED_FILES = 8192


def main() -> None:
    """Become the only one, detach, clean up after a killed predecessor, serve."""
    run = Path(sys.argv[1]).resolve()
    run.mkdir(parents=True, exist_ok=True, mode=0o700)
    run.chmod(0o700)
    lock = os.open(run / protocol.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    # Before the caller is let go: a late one would become the supervisor after somebody's `down`.
    if not _take(lock, run):
        return
    _detach(run)
    _plain_signals()
    ended = end_leftovers(run)
    if ended:
        sys.stderr.write(f"ended {ended} processes that a killed supervisor had left\n")
    asyncio.run(serve(run))


def _detach(run: Path) -> None:
    # The caller waits for the process it started; this copy belongs to nobody, and has no terminal to lose.
    if os.fork():
        os._exit(0)
    os.chdir("/")
    log = logs.open_log(run / protocol.LOG)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    for descriptor in (nothing, log):
        if descriptor > 2:
            os.close(descriptor)


def _plain_signals() -> None:
    """Forget what a caller (nohup, a shell's background job) ignores or blocks; children would inherit it."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:  # macOS begins with 256
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _take(lock: int, run: Path) -> bool:
    """Become the only one; a predecessor that is going down is waited for."""
    deadline = time.monotonic() + _PATIENCE_WITH_PREDECESSOR
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _somebody_serves(run) or time.monotonic() > deadline:
                return False
            time.sleep(0.03)
        else:
            return True


def _somebody_serves(run: Path) -> bool:
    path = protocol.socket_path(run)
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    main()
