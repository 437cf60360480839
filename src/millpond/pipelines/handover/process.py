"""Runs one step from inside an engine: a process in the step's environment, its lines in the engine's log.

Imported by flows and DAGs in the engines' environments, so it needs the standard library only.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_CANCEL = "cancel"
"""The file in a run's folder that asks its steps to stop; see `millpond.pipelines.journal`."""
_running: set[subprocess.Popen[str]] = set()
# The engine's own configuration, with its passwords, is nothing that a step should find.
_ENGINES = ("AIRFLOW", "_AIRFLOW", "PREFECT", "PYTHON")
_GRACE = 8.0
"""Seconds for each way of ending a step; one that is told to stop counts as stuck after five."""


class StepFailedError(Exception):
    """A step failed; its log says why."""


def run_id(name: str, begun: datetime.datetime, key: str) -> str:
    """The id of a run, the same in each of its steps' processes.

    Args:
        name: the pipeline's.
        begun: a time of the run that never changes.
        key: the engine's own name of the run.
    """
    day = begun.astimezone(datetime.UTC)
    return f"{day:%Y%m%d-%H%M%S}-{name}-{hashlib.sha256(key.encode()).hexdigest()[:4]}"


def run_step(
    handover: Mapping[str, Any],
    step: str,
    *,
    engine: str,
    run: str,
    engine_run: str,
    parameters: Mapping[str, Any],
    attempt: int,
    tell: Callable[[str], None],
) -> None:
    """Run a step to its end.

    Args:
        handover: a `Handover` as plain data.
        engine: the engine's name, for the record, which `engine_run` is its name of the run for.
        attempt: which try this is, from 1.
        tell: takes each line that the step prints or logs.

    Raises:
        StepFailedError: it failed.
    """
    names = {key: value for key, value in os.environ.items() if not key.startswith(_ENGINES)}
    python = Path(handover["python"])
    names.update(handover["env"])
    names["PATH"] = os.pathsep.join([str(python.parent), names.get("PATH", os.defpath)])
    argv = [str(python), "-m", "millpond.pipelines.step", "--pipeline", handover["file"]]
    argv += ["--runs", handover["runs"], "--run", run, "--step", step, "--engine", engine]
    argv += ["--attempt", str(attempt), "--tries", str(handover["steps"][step]["retries"] + 1)]
    argv += ["--parameters", json.dumps(dict(parameters), default=str)]
    argv += ["--commit", handover["commit"]] if handover.get("commit") else []
    argv += ["--engine-run", engine_run]
    if handover.get("environments"):
        argv += ["--environments", json.dumps(handover["environments"])]
    argv += ["--tied"]
    process = subprocess.Popen(
        argv,
        env=names,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    last = ""
    _running.add(process)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            last = line.rstrip() or last
            tell(line.rstrip())
        code = process.wait()
    except BaseException:
        _cancel(handover, run)
        raise
    finally:
        _end(process)
        _running.discard(process)
    if code:
        raise StepFailedError(last or f"{step} ended with exit code {code}")


def give_up(handover: Mapping[str, Any], run: str) -> None:
    """End all steps that this process runs, because their run was stopped."""
    _cancel(handover, run)
    for process in list(_running):
        _end(process)


def _cancel(handover: Mapping[str, Any], run: str) -> None:
    with suppress(OSError):
        (Path(handover["runs"]) / run / _CANCEL).touch()


def _end(process: subprocess.Popen[str]) -> None:
    """End what is left of a step when its engine gave it up: it may say so itself before it is made to."""
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        if number is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
