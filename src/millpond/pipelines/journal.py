"""What a step leaves on disk beside its run's record, so that nothing finished is lost.

One small file per step: ``running`` with the attempt while it runs, its outcome afterwards. A worker that
is given a step again finds there whether it is done, or how often a process died over it.
It works where workers see the run's folder, which on one machine they do; elsewhere it is silent.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from millpond.pipelines.task import Outcome

CANCEL = "cancel"


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
        try:
            data: dict[str, Any] = json.loads(self._file(step).read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            return None, 0
        if data.get("status") == "running":
            return None, int(data.get("attempt", 1))
        return Outcome.from_dict(data), int(data.get("attempts", 0))

    def begin(self, step: str, attempt: int) -> None:
        """Note that an attempt starts in this process."""
        if self.usable:
            self._write(step, {"status": "running", "attempt": attempt, "pid": os.getpid()})

    def end(self, outcome: Outcome) -> None:
        """Note how the step ended; whole or not at all."""
        if self.usable:
            self._write(outcome.step, outcome.as_dict())

    def outcomes(self) -> dict[str, Outcome]:
        """All steps that are over."""
        found = {}
        for file in sorted(self.folder.glob("*.json")):
            outcome, _ = self.read(file.stem)
            if outcome is not None:
                found[file.stem] = outcome
        return found

    def _write(self, step: str, data: dict[str, Any]) -> None:
        made = self.folder / f".{step}.{os.getpid()}"
        with suppress(FileNotFoundError):  # the record was removed while the run goes on
            made.write_bytes(json.dumps(data, separators=(",", ":")).encode())
            made.replace(self._file(step))

    def cancel(self) -> None:
        """Ask every worker to stop what it does for this run."""
        with suppress(OSError):
            self._cancel.touch()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._cancel.exists()
