"""What the API tells of pipelines and runs: the ledger's entry, and the run's record with its steps."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from millpond.model.errors import MillpondError
from millpond.pipelines.events import StepChanged
from millpond.pipelines.record import RunRecord, Runs, StepRecord
from millpond.pipelines.server.executor import Executor
from millpond.pipelines.server.ledger import Entry, Handed
from millpond.pipelines.server.schedules import following
from millpond.pipelines.server.triggers import Triggers, name_of

_STATES = {"done": "succeeded", "cached": "succeeded", "retry": "running", "interrupted": "queued"}
LINES = 20
"""How many of a failed step's last lines are told with it."""


def record_of(runs: Runs, entry: Entry) -> RunRecord | None:
    """A run's record, once it has begun."""
    with suppress(MillpondError):
        return runs.read(entry.id)
    return None


def run_view(executor: Executor, entry: Entry) -> dict[str, Any]:
    """A run with its steps, and the last lines of those that failed."""
    runs = executor.runs
    record, states = record_of(runs, entry), executor.states(entry.id)
    code = entry.asked.code
    found: dict[str, Any] = {
        "run": entry.id,
        "pipeline": entry.asked.pipeline,
        "state": entry.state,
        "over": entry.over,
        "cause": entry.asked.cause,
        "parameters": record.parameters if record else entry.asked.parameters,
        "version": code.commit,
        "code": code.digest,
        "experiment": entry.asked.experiment,
        "created": entry.created,
        "started": record.started if record else None,
        "ended": entry.ended,
        "error": entry.error,
        "steps": {},
        "results": record.results if record else {},
        "page": f"/runs/{entry.id}",
    }
    if record:
        if record.error and not found["error"]:
            found["error"] = record.error.get("message")
        found["steps"] = {
            name: _step_view(runs, record, step, states.get(name)) for name, step in record.steps.items()
        }
    return found


def _step_view(runs: Runs, record: RunRecord, step: StepRecord, told: StepChanged | None) -> dict[str, Any]:
    status = told.state if told is not None else step.status
    found: dict[str, Any] = {
        "state": _STATES.get(status, status),
        "attempts": max(step.attempts, told.attempt if told is not None else 0),
        "seconds": round(step.seconds, 3),
        "needs": step.needs,
        "cached_from": step.from_run,
    }
    if step.error and step.status != "skipped":
        found["error"] = {
            key: step.error[key]
            for key in ("message", "hint", "file", "line", "source")
            if step.error.get(key)
        }
        found["last_lines"] = runs.log(record, step.name).splitlines()[-LINES:]
    return found


def pipeline_view(handed: Handed, triggers: Triggers) -> dict[str, Any]:
    """A pipeline that was handed over: what starts it, and when next."""
    upcoming = following(handed, time.time())
    return {
        "pipeline": handed.name,
        "summary": handed.summary,
        "version": handed.code.commit,
        "code": handed.code.digest,
        "parameters": handed.parameters,
        "schedule": handed.schedule,
        "timezone": handed.timezone,
        "next": upcoming.isoformat() if upcoming else None,
        "triggers": [
            {**trigger, "trouble": triggers.troubles.get((handed.name, name_of(trigger)))}
            for trigger in handed.triggers
        ],
        "handed_by": handed.by,
        "handed": handed.at,
    }
