"""Stopping a run that was handed over, and having its engine go on with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, runtime_checkable

from millpond.model.errors import MillpondError
from millpond.pipelines.handover.engine import WorkflowEngine
from millpond.pipelines.journal import CANCEL, Journal
from millpond.pipelines.record import HANDED, RunRecord, Runs
from millpond.pipelines.task import Outcome

_STOPPED = 60.0
_SAID = 20.0
"""Seconds for an engine to stop a run, and then for its steps to say so."""
_POLL = 0.2


@runtime_checkable
class Resuming(Protocol):
    """An engine that can take a run up again where it failed."""

    def resume(self, pipeline: str, run: str) -> None:
        """Run again what is not done, in the same run."""


def handed(record: RunRecord) -> bool:
    """Whether a workflow engine runs it."""
    return (record.folder / HANDED).exists()


def engine_run(record: RunRecord) -> str:
    """What the engine calls a run.

    Raises:
        MillpondError: the record does not say.
    """
    if record.engine_run is None:
        raise MillpondError(
            f"the record of {record.id} does not say what {record.engine} calls the run",
            hint=f"it can be stopped and run again on the page of {record.engine}",
        )
    return record.engine_run


def cancel(workflow: WorkflowEngine, runs: Runs, record: RunRecord) -> RunRecord:
    """Stop a run through its engine, wait until it stopped, and give its record.

    Raises:
        MillpondError: the engine cannot be reached, or does not stop it.
    """
    run = engine_run(record)
    workflow.cancel(record.pipeline, run)
    if not _until(lambda: workflow.run(record.pipeline, run).over, _STOPPED):
        raise MillpondError(
            f"{workflow.name} was asked to stop {record.id} and has not yet",
            hint=f"`millpond logs {workflow.name}` may say why",
        )
    # A step that was running says itself that it was cancelled; between two steps there is none.
    if not _until(lambda: runs.read(record.id).status != "running", _SAID if _running(runs, record) else 1.0):
        _close(runs, record)
    return runs.read(record.id)


def resume(workflow: WorkflowEngine, record: RunRecord) -> None:
    """Have the engine go on with a run; a step that is done is not done twice.

    Raises:
        MillpondError: the engine cannot do that, or be reached.
    """
    run = engine_run(record)
    if not isinstance(workflow, Resuming):
        raise MillpondError(
            f"{workflow.name} cannot go on with a run",
            hint=f"`millpond pipeline submit {record.pipeline}` starts another; what is cached is taken over",
        )
    (record.folder / CANCEL).unlink(missing_ok=True)
    workflow.resume(record.pipeline, run)


def _running(runs: Runs, record: RunRecord) -> bool:
    """Whether a step has begun and is not over."""
    journal = Journal(record.folder)
    tries = (journal.read(name) for name in runs.read(record.id).steps)
    return any(outcome is None and attempts for outcome, attempts in tries)


def _close(runs: Runs, record: RunRecord) -> None:
    """Write of what did not begin that it will not."""
    journal = Journal(record.folder)
    journal.cancel()
    found = runs.read(record.id)
    for name in found.steps:
        if journal.read(name)[0] is None:
            reason = {"type": "Cancelled", "message": "the run was cancelled"}
            journal.end(name, Outcome(name, "cancelled", error=reason).as_json())
    found = runs.read(record.id)
    found.status, found.ended = "cancelled", time.time()
    found.write()


def _until(true: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(ValueError):  # the record is being written
            if true():
                return True
        time.sleep(_POLL)
    return true()
