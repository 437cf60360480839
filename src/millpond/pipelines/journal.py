"""What a step leaves on disk beside its run's record, so that nothing finished is lost.

One small file per step: the number of the attempt while it runs, its outcome afterwards. A worker that
is given a step again finds there whether it is done, or how often a process died over it.
It works where workers see the run's folder, which on one machine they do; elsewhere it is silent.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import IO

from millpond.pipelines.task import Outcome

CANCEL = "cancel"
LOCK = "lock"


class Journal:
    """The files of one run's steps."""

    def __init__(self, run_folder: Path) -> None:
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
        if self.usable:
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
        """Whether nobody waits for the run any more: it was cancelled, or its runner is gone."""
        return self.cancelled or (self.usable and not held(self.folder.parent))


def hold(run_folder: Path) -> IO[bytes]:
    """Take a run's lock; it is free again when the process is gone, however it went."""
    file = (run_folder / LOCK).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def held(run_folder: Path) -> bool:
    """Whether a run's runner lives; True where there is no lock to ask."""
    try:
        with (run_folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
