"""Runs what the ledger says, a few at a time, and goes on with what an earlier life of the process left.

Each run is a runner of its own (see `millpond.pipelines.launch`). When this process ends, however it ends,
its runners do too; the ledger still says that they run, so that the next life takes them up where their
records end. No finished step is run again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.pipelines import environments
from millpond.pipelines.events import RunRefused, StepChanged
from millpond.pipelines.journal import Journal
from millpond.pipelines.launch import Launch, Running
from millpond.pipelines.record import RECORD, Runs, alive
from millpond.pipelines.server.ledger import Entry, Ledger, State
from millpond.pipelines.server.sent import SentCode

log = logging.getLogger(__name__)
OWN = ("MILLPOND_PIPELINES_PASSWORD", "MILLPOND_PIPELINES_DATA", "MILLPOND_RUN_DIR")
"""Variables of this process that no step is to find: its password is among them."""
_TRIES = 5
_POLL = 0.2


class Executor:
    """The runs that are under way.

    Args:
        runs: the folder of the project's records.
        state: the folder of the locks that steps' own requirements are made into.
        most: how many run at once.
    """

    def __init__(self, ledger: Ledger, sent: SentCode, runs: Path, state: Path, most: int = 4) -> None:
        self._ledger, self._sent, self._state, self._most = ledger, sent, state, most
        self.runs = Runs(runs)
        self._changed = threading.Condition()
        self._active: dict[str, threading.Thread] = {}
        self._running: dict[str, Running] = {}
        self._cancelled: set[str] = set()
        self._states: dict[str, dict[str, StepChanged]] = {}
        self._ending = False
        self._thread = threading.Thread(target=self._loop, name="executor", daemon=True)

    def begin(self) -> None:
        """Start what is open, and go on doing so."""
        self._thread.start()

    def wake(self) -> None:
        """The ledger has something new."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Stop all runners at once; their runs are taken up by the next life of this process."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
            running = list(self._running.values())
        for one in running:
            one.kill()
        self._thread.join(5)

    def cancel(self, entry: Entry) -> None:
        """Stop a run; its record says how far it came."""
        with self._changed:
            if entry.over:
                return
            self._cancelled.add(entry.id)
            waits = entry.id not in self._active
        Journal(self.runs.folder / entry.id).cancel()
        if waits:
            self._ledger.over(entry.id, "cancelled")

    def states(self, run: str) -> dict[str, StepChanged]:
        """What was last told of each step of a run that goes on; its record on disk comes a little later."""
        with self._changed:
            return dict(self._states.get(run, {}))

    def _loop(self) -> None:
        while True:
            with self._changed:
                if self._ending:
                    return
                for entry in self._ledger.open():
                    if len(self._active) >= self._most:
                        break
                    if entry.id not in self._active:
                        thread = threading.Thread(target=self._do, args=(entry,), name=entry.id, daemon=True)
                        self._active[entry.id] = thread
                        thread.start()
                self._changed.wait()

    def _do(self, entry: Entry) -> None:
        try:
            state, error = self._end_of(entry)
        except MillpondError as refused:
            state, error = "failed", f"{refused.message}; {refused.hint}" if refused.hint else refused.message
        except Exception as mistake:  # one run's trouble is not the others'
            log.exception("%s could not be run", entry.id)
            state, error = "failed", f"the platform failed: {type(mistake).__name__}: {mistake}"
        with self._changed:
            del self._active[entry.id]
            if not self._ending:
                self._ledger.over(entry.id, state, error)
                self._cancelled.discard(entry.id)
                log.info("%s %s%s", entry.id, state, f": {error}" if error else "")
            self._changed.notify_all()

    def _end_of(self, entry: Entry) -> tuple[State, str | None]:
        """Run it to its end, in several goes where its runner dies."""
        folder = self.runs.folder / entry.id
        while True:
            self._wait_for_other(folder)
            if (state := self._recorded(entry.id)) is not None:
                return state, None
            with self._changed:
                if self._ending or entry.id in self._cancelled:
                    return "cancelled", None
            if self._ledger.begun(entry.id) > _TRIES:
                return "failed", f"its runner broke off {_TRIES} times"
            refused = self._go(entry, resume=(folder / RECORD).exists())
            if refused is not None:
                return "failed", refused

    def _wait_for_other(self, folder: Path) -> None:
        """A runner of an earlier life may not have noticed yet that nobody listens."""
        while alive(folder) and not self._ending:
            time.sleep(_POLL)

    def _recorded(self, run: str) -> State | None:
        """How the run ended, if it did."""
        with suppress(MillpondError):
            status = self.runs.read(run).status
            if status in ("succeeded", "failed", "cancelled"):
                return status  # type: ignore[return-value]
        return None

    def _go(self, entry: Entry, *, resume: bool) -> str | None:
        """One life of the run's runner; gives why it was refused, or None."""
        asked = entry.asked
        launch = Launch(
            self._sent.folder(asked.code.digest) / asked.code.file,
            asked.parameters,
            runs=self.runs.folder,
            run=entry.id,
            resume=entry.id if resume else None,
            code=(asked.code.commit, asked.code.dirty),
        )
        own = asyncio.run(environments.installed(launch.pipeline, launch.steps, self._state / "environments"))
        python, env = asyncio.run(self._environment(launch))
        if asked.experiment:
            env["MLFLOW_EXPERIMENT_NAME"] = asked.experiment
        refused: str | None = None
        with launch.start(python, env, own) as running:
            with self._changed:
                self._running[entry.id] = running
                self._states[entry.id] = {}
                if self._ending:
                    running.kill()
            try:
                if entry.id in self._cancelled:
                    running.cancel()
                for event in running:
                    if isinstance(event, StepChanged):
                        with self._changed:
                            self._states[entry.id][event.step] = event
                    elif isinstance(event, RunRefused):
                        error = event.error
                        refused = "; ".join(str(error[key]) for key in ("message", "hint") if error.get(key))
            except MillpondError as broken:
                log.warning("%s: %s", entry.id, broken.message)
            finally:
                with self._changed:
                    del self._running[entry.id], self._states[entry.id]
        # A record that came to its end says more.
        return refused if self._recorded(entry.id) is None else None

    async def _environment(self, launch: Launch) -> tuple[Path, dict[str, str]]:
        """The Python of a run, and the variables that it finds."""
        mine = {name: value for name, value in os.environ.items() if name not in OWN}
        lock = launch.pipeline.lock
        if lock is None:
            return Path(sys.executable), mine
        from millpond.targets.local.installs import InstallRequest, InstallStore

        install = await InstallStore().ensure(
            InstallRequest(
                f"the pipeline {launch.pipeline.name}", lock.parent, {"pip": lock.name, "millpond": True}
            )
        )
        return install.bin[0] / "python", {**mine, **install.env}
