"""One step on a worker: look for its earlier result, fetch its inputs, call its kind, store its outputs.

Nothing a step does raises out of here: its outcome says how it ended, and steps that need it see that
and pass it on. So the failure of one branch leaves the others alone, on any engine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from millpond.lake.reference import Reference
from millpond.pipelines.bundle import CodeSpace
from millpond.pipelines.capture import StepLog
from millpond.pipelines.failure import StepCancelled, StepTimedOut, describe
from millpond.pipelines.inputs import blockers, condition_holds, reference_of
from millpond.pipelines.journal import Journal
from millpond.pipelines.stepcall import Scratch, perform, sink_of
from millpond.pipelines.task import LEFT_OUT, Outcome, Shared, Status, StepTask, cache_key
from millpond.pipelines.watch import Watched, alone, limited

Emit = Callable[[dict[str, Any]], None]
_NODE = os.uname().nodename
_code = CodeSpace()
_environment: dict[str, str] = {}
_own_environment: dict[str, str] = {}
_home: Path | None = None
_home_lock = threading.Lock()


def execute(
    task: StepTask,
    shared: Shared,
    upstream: Mapping[str, Outcome],
    emit: Emit,
    home: Path | None = None,
    expendable: bool = False,
) -> Outcome:
    """Run one step, or find that it need not run.

    Args:
        task: the step.
        shared: what the run's steps have in common.
        upstream: the outcomes of all steps that it needs.
        emit: takes events as they happen; plain data.
        home: a folder of this process for unpacked code and scratch files; made when None.
        expendable: the process may end itself when a step in it cannot be stopped; something restarts it.
    """
    begun = time.time()
    journal = Journal(Path(shared.run_folder), shared.epoch)
    outcome, died = journal.read(task.name)
    if outcome is not None:
        text = outcome.as_json()
    else:
        attempt = _Attempt(task, shared, upstream, emit, journal, home or _process_home(), died, expendable)
        outcome = attempt.outcome(begun)
        outcome = _timed(outcome, begun)
        text = outcome.as_json()
        journal.end(task.name, text)
    emit({"event": "ended", "step": task.name, "outcome": text})
    return outcome


class _Attempt:
    def __init__(
        self,
        task: StepTask,
        shared: Shared,
        upstream: Mapping[str, Outcome],
        emit: Emit,
        journal: Journal,
        home: Path,
        died: int,
        expendable: bool,
    ) -> None:
        self.task = task
        self.shared = shared
        self.upstream = upstream
        self.emit = emit
        self.journal = journal
        self.home = home
        self.died = died
        self.expendable = expendable
        self.code: Path | None = None

    def outcome(self, begun: float) -> Outcome:
        """The step's outcome; see `execute`."""
        task = self.task
        if blocked := blockers(task, self.upstream):
            return blocked
        if self.journal.cancelled:
            return Outcome(task.name, "cancelled")
        apply_environment(self.shared.environment)
        try:
            if task.when and not condition_holds(task, self.shared, self.upstream):
                reason = {"type": LEFT_OUT, "message": f"its condition is false: {task.when}"}
                return Outcome(task.name, "skipped", error=reason)
            inputs = {port: reference_of(source, self.upstream) for port, source in task.inputs.items()}
        except Exception as error:
            return Outcome(task.name, "failed", attempts=1, error=describe(error, None))
        key = cache_key(task, inputs)
        if task.cacheable and (known := self._known(key)):
            return Outcome(task.name, "cached", known[0], inputs, key, from_run=known[1])
        if self.died > task.retries:
            return Outcome(task.name, "failed", {}, inputs, key, self.died, error=_died(self.died))
        return self._try(inputs, key, begun)

    def _known(self, key: str) -> tuple[dict[str, Reference], str] | None:
        entry = self.shared.known.get(key)
        if entry is None:
            return None
        try:
            outputs = {name: Reference.from_dict(data) for name, data in entry["outputs"].items()}
            written = self.task.written
            if set(outputs) != set(written):
                return None
            for name, reference in outputs.items():
                port = written[name]
                if not sink_of(port.sink).exists(reference, port):
                    return None
        except Exception:
            # An answer that cannot be had is no reason to fail: the step runs, and says itself what is wrong.
            return None
        return outputs, str(entry["run"])

    def _try(self, inputs: dict[str, Reference], key: str, begun: float) -> Outcome:
        task, attempt = self.task, self.died
        log = StepLog(lambda text: self.emit({"event": "log", "step": task.name, "text": text}))

        def failed(error: dict[str, Any]) -> Outcome:
            return Outcome(task.name, "failed", {}, inputs, key, attempt, error=error)

        def stuck(reason: BaseException) -> None:
            error = {"type": "Stuck", "message": f"{reason}, and it does not stop when told to"}
            status: Status = "cancelled" if isinstance(reason, StepCancelled) else "failed"
            self._leave(replace(failed(error), status=status), begun)

        watched = Watched(
            lambda: self.emit({"event": "running", "step": task.name, "started": begun, "attempt": attempt}),
            task.timeout,
            lambda: self.journal.abandoned,
            stuck,
        )
        while True:
            attempt += 1
            self.journal.begin(task.name, attempt)
            error: dict[str, Any]
            try:
                outputs = limited(lambda: self._run(inputs), watched, log)
                return Outcome(task.name, "done", outputs, inputs, key, attempt)
            except StepCancelled:
                return Outcome(task.name, "cancelled", {}, inputs, key, attempt)
            except StepTimedOut as late:
                error = {"type": "Timeout", "message": str(late)}
            except BaseException as raised:
                error = getattr(raised, "error", None) or describe(raised, self.code)
            log.write(f"{error.get('traceback') or error['message']}".rstrip() + "\n")
            log.flush()
            if attempt > task.retries:
                return failed(error)
            message = {"attempt": attempt, "error": error, "delay": task.retry_delay}
            self.emit({"event": "retry", "step": task.name, **message})
            if self._pause(task.retry_delay):
                return Outcome(task.name, "cancelled", {}, inputs, key, attempt)

    def _pause(self, seconds: float) -> bool:
        """Wait before the next attempt; whether the run was cancelled meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.journal.abandoned:
                return True
            time.sleep(min(left, 0.2))
        return self.journal.abandoned

    def _leave(self, outcome: Outcome, begun: float) -> None:
        """Tell that the step is stuck; end its process if it is restarted and nothing else runs in it."""
        text = _timed(outcome, begun).as_json()
        self.journal.end(outcome.step, text)
        self.emit({"event": "ended", "step": outcome.step, "outcome": text})
        if self.expendable and self.journal.usable and alone():
            time.sleep(0.5)  # for the last messages to leave the process
            os._exit(17)

    def _run(self, inputs: dict[str, Reference]) -> dict[str, Reference]:
        task, shared = self.task, self.shared
        scratch = Scratch(self.home, task.name)

        def progress(fraction: float, message: str) -> None:
            self.emit({"event": "progress", "step": task.name, "fraction": fraction, "message": message})

        try:
            with _code.use(shared.bundle, shared.bundle_digest, self.home) as code:
                self.code = code
                if not task.apart:
                    return perform(task, shared, inputs, scratch, code, progress)
                # Imported late: most steps need no process of their own.
                from millpond.pipelines.isolated import perform_apart

                return perform_apart(task, shared, inputs, scratch, code, progress)
        finally:
            scratch.remove()


def _timed(outcome: Outcome, begun: float) -> Outcome:
    worker = f"{_NODE}:{os.getpid()}"
    return replace(outcome, started=begun, seconds=time.time() - begun, worker=worker)


def _died(times: int) -> dict[str, Any]:
    often = "" if times == 1 else f" {times} times"
    return {
        "type": "WorkerDied",
        "message": f"the worker process died{often} while the step ran",
        "hint": "most often it had too little memory (give the workers more, or read less at once), "
        "or native code crashed; the worker's log has its last words",
    }


def apply_environment(wanted: dict[str, str]) -> None:
    """Let the code of this process find what the run's owner finds; those of an earlier run go."""
    if wanted != _environment:
        for name in _environment.keys() - wanted.keys():
            own = _own_environment.pop(name, None)
            if own is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = own
        for name in wanted.keys() - _environment.keys():
            if name in os.environ:
                _own_environment[name] = os.environ[name]
        os.environ.update(wanted)
        _environment.clear()
        _environment.update(wanted)


def _process_home() -> Path:
    global _home
    with _home_lock:
        if _home is None or not _home.is_dir():
            _home = Path(tempfile.mkdtemp(prefix="millpond-worker-"))
            atexit.register(shutil.rmtree, _home, ignore_errors=True)
        return _home
