"""What runs right now, told to those who clean up when the supervisor cannot.

Two listeners: the guardian, at the other end of a pipe, and ``processes.json``, for the next supervisor
when both are gone. Neither hears more of a service than its name, process and stop signal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import millpond
from millpond.targets.local.supervisor.processes import MARK, Leader, boot_id, end_all, group_alive, started

FILE = "processes.json"
_PATIENCE_WITH_GUARDIAN = 6.0
_SHORT_LIFE = 0.5
_PAUSE = 5.0


class Register:
    """The processes of one supervisor, kept in the run directory and by the guardian.

    Args:
        run: the run directory.
        watch: called with the process id of each new guardian and what to call when it has ended.
    """

    def __init__(self, run: Path, watch: Callable[[int, Callable[[int], None]], None]) -> None:
        self._run = run
        self._watch = watch
        self._leaders: dict[int, Leader] = {}
        self._guardian = 0
        self._guardian_since = 0.0
        self._pipe = -1
        self._closed = False

    @property
    def guardian(self) -> int:
        """Process id of the guardian; 0 when there is none."""
        return self._guardian

    def open(self) -> None:
        """Start the guardian and write the file."""
        self._start_guardian()

    def add(self, leader: Leader) -> None:
        """A process has been started."""
        self._leaders[leader.pid] = leader
        self._tell(_line(leader))
        self._write()

    def remove(self, leader: Leader) -> None:
        """Nothing of a process and its group is left."""
        if self._leaders.pop(leader.pid, None):
            self._tell(f"- {leader.pid}\n")
            self._write()

    def close(self) -> None:
        """The supervisor ends on purpose; the guardian has nothing left to do and ends too."""
        self._closed = True
        self._close_pipe()
        with contextlib.suppress(FileNotFoundError):
            (self._run / FILE).unlink()

    def _start_guardian(self) -> None:
        read, self._pipe = os.pipe()
        os.set_blocking(self._pipe, False)
        # Only the folder of the package: what site-packages runs at a start costs more than the guardian.
        env = {
            "PYTHONPATH": str(Path(millpond.__file__).parent.parent),
            "PATH": os.environ.get("PATH", os.defpath),
        }
        try:
            process = subprocess.Popen(
                [sys.executable, "-S", "-m", "millpond.targets.local.supervisor.guardian", str(self._run)],
                stdin=read,
                stdout=subprocess.DEVNULL,
                env=env,
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(read)
        self._guardian, process.returncode = process.pid, 0  # reaped by the supervisor's own reaper
        self._guardian_since = time.monotonic()
        self._watch(process.pid, self._guardian_ended)
        for leader in self._leaders.values():
            self._tell(_line(leader))
        self._write()

    def _guardian_ended(self, code: int) -> None:
        if self._closed:
            return
        sys.stderr.write(f"the guardian ended ({code}), starting another\n")
        self._close_pipe()
        if time.monotonic() - self._guardian_since > _SHORT_LIFE:
            self._replace_guardian()
        else:
            asyncio.get_running_loop().call_later(_SHORT_LIFE, self._replace_guardian)

    def _replace_guardian(self) -> None:
        if self._closed:
            return
        try:
            self._start_guardian()
        except OSError as error:
            sys.stderr.write(f"cannot start a guardian: {error}\n")
            self._close_pipe()
            asyncio.get_running_loop().call_later(_PAUSE, self._replace_guardian)

    def _close_pipe(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
        self._pipe, self._guardian = -1, 0

    def _tell(self, line: str) -> None:
        if self._pipe < 0:
            return  # the next guardian is told everything
        try:
            os.write(self._pipe, line.encode())
        except BrokenPipeError:
            pass  # it has just ended; its successor is told everything
        except BlockingIOError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._guardian, signal.SIGKILL)

    def _write(self) -> None:
        text = json.dumps(
            {
                "boot": boot_id(),
                "guardian": {"pid": self._guardian, "started": started(self._guardian)},
                "services": [leader._asdict() for leader in self._leaders.values()],
            },
            indent=1,
        )
        draft = self._run / f"{FILE}.new"
        try:
            draft.touch(mode=0o600)
            draft.write_text(text)
            draft.replace(self._run / FILE)
        except OSError as error:
            # A full disk must not stop services; the guardian still knows.
            sys.stderr.write(f"cannot write {FILE}: {error}\n")


def end_leftovers(run: Path) -> int:
    """End what a supervisor and guardian that were both killed have left; returns how many groups that were.

    A guardian that is still at work is waited for. Blocks for up to about ten seconds.
    """
    os.environ.pop(MARK, None)
    try:
        found = json.loads((run / FILE).read_text())
        leaders = [Leader(**entry) for entry in found["services"]]
        guardian, guardian_started = found["guardian"]["pid"], found["guardian"]["started"]
    except FileNotFoundError:
        return 0
    except (ValueError, KeyError, TypeError):
        leaders, guardian, guardian_started, found = [], 0, None, {"boot": boot_id()}
    if found["boot"] != boot_id():
        return 0
    deadline = time.monotonic() + _PATIENCE_WITH_GUARDIAN
    while (
        guardian
        and guardian_started
        and started(guardian) == guardian_started
        and time.monotonic() < deadline
    ):
        time.sleep(0.03)
    return end_all(leaders, str(run))


def survivors(run: Path) -> list[str]:
    """The services of a dead supervisor of which processes are left; for ``millpond doctor``."""
    try:
        found = json.loads((run / FILE).read_text())
        leaders = [Leader(**entry) for entry in found["services"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [leader.name for leader in leaders if found.get("boot") == boot_id() and group_alive(leader)]


def _line(leader: Leader) -> str:
    name = leader.name.replace("\t", " ").replace("\n", " ")
    return f"+ {leader.pid}\t{leader.started}\t{leader.stop_signal}\t{name}\n"
