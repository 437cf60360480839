"""What a step leaves on disk beside its run's record, so that nothing finished is lost.

One small file per step: the number of the attempt while it runs, its outcome afterwards. A worker that
is given a step again finds there whether it is done, or how often a process died over it.
It works where workers see the run's folder, which on one machine they do; elsewhere it is silent.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from millpond.pipelines.task import Outcome

CANCEL = "cancel"
LOCK = "lock"


class Journal:
    """The files of one run's steps.

    Args:
        run_folder: the run's record.
        epoch: which beginning of the run this process works for; None to look from outside.
    """

    def __init__(self, run_folder: Path, epoch: int | None = None) -> None:
        self.epoch = epoch
        self.folder = run_folder / "steps"
        self.usable = self.folder.is_dir() and os.access(self.folder, os.W_OK)
        self._cancel = run_folder / CANCEL

    def _file(self, step: str) -> Path:
        return self.folder / f"{step}.json"

    def read(self, step: str) -> tuple[Outcome | None, int]:
        """The step's outcome if it is over, and how many attempts were begun."""
        if not self.usable:
            return None, 0
        with suppress(FileNotFoundError, ValueError):
            outcome = Outcome.from_json(self._file(step).read_bytes())
            return outcome, outcome.attempts
        try:
            return None, int(self._begun(step).read_text())
        except FileNotFoundError:
            return None, 0
        except ValueError:  # the process died while it wrote how the step ended
            return None, 1

    def _begun(self, step: str) -> Path:
        return self.folder / f".{step}.begun"

    def begin(self, step: str, attempt: int) -> None:
        """Note that an attempt starts in this process."""
        if self.usable:
            with suppress(FileNotFoundError):  # the record was removed while the run goes on
                self._begun(step).write_text(str(attempt))

    def end(self, step: str, outcome: str) -> None:
        """Note how the step ended, as JSON; whole or not at all."""
        if self.usable and not self._outdated:
            made = self._begun(step)
            with suppress(FileNotFoundError):
                made.write_text(outcome, encoding="utf-8")
                made.replace(self._file(step))

    def outcomes(self) -> dict[str, Outcome]:
        """All steps that are over."""
        found = {}
        for file in sorted(self.folder.glob("*.json")):
            outcome, _ = self.read(file.stem)
            if outcome is not None:
                found[file.stem] = outcome
        return found

    def forget(self, step: str) -> None:
        """Let a step run once more."""
        self._file(step).unlink(missing_ok=True)
        self._begun(step).unlink(missing_ok=True)

    def cancel(self) -> None:
        """Ask every worker to stop what it does for this run."""
        with suppress(OSError):
            self._cancel.touch()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._cancel.exists()

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for this process's work: the run was cancelled, its runner is gone or new."""
        return self.cancelled or (self.usable and (self._outdated or not held(self.folder.parent)))

    @property
    def _outdated(self) -> bool:
        """Whether the run was begun once more since; what this process does is done again elsewhere."""
        return self.epoch is not None and epoch_of(self.folder.parent) not in (self.epoch, 0)


def hold(run_folder: Path) -> IO[bytes]:
    """Take a run's lock; it is free again when the process is gone, however it went.

    Its content is the run's epoch: how often the lock was taken.

    Raises:
        BlockingIOError: somebody has it.
    """
    file = (run_folder / LOCK).open("ab+")
    for left in reversed(range(20)):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            # Whoever only asks has it for an instant.
            if not left:
                file.close()
                raise
            time.sleep(0.05)
    epoch = epoch_of(run_folder) + 1
    file.truncate(0)
    file.write(str(epoch).encode())
    file.flush()
    return file


def epoch_of(run_folder: Path) -> int:
    """How often a run was begun; 0 where nobody can tell."""
    try:
        return int((run_folder / LOCK).read_bytes() or b"0")
    except (OSError, ValueError):
        return 0


def held(run_folder: Path) -> bool:
    """Whether a run's runner lives; True where there is no lock to ask."""
    try:
        with (run_folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
