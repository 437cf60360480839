"""Run records: what was run, on which bytes, with which code, and what came of it.

Each run has a folder ``<id>`` with ``run.json``, a log and an outcome per step under ``steps``, and a lock
that is held while its runner lives; a record that says ``running`` whose lock is free was interrupted.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines import provenance
from millpond.pipelines.journal import CANCEL, LOCK, Journal, held, hold
from millpond.pipelines.task import Outcome, StepTask

if TYPE_CHECKING:
    from millpond.pipelines.document import Pipeline

RECORD = "run.json"
HANDED = "handed-over.json"
"""In the folder of a run that a workflow engine runs: no process of ours lives as long as it does."""
_ID = re.compile(r"\d{8}-\d{6}-.+-[0-9a-f]{4}")


@dataclass
class StepRecord:
    """One step of a run; `log` is relative to the run's folder, `static` stands for code and values."""

    name: str
    kind: str
    needs: list[str] = field(default_factory=list)
    status: str = "queued"
    code: str = ""
    static: str = ""
    key: str | None = None
    inputs: dict[str, Reference] = field(default_factory=dict)
    outputs: dict[str, Reference] = field(default_factory=dict)
    attempts: int = 0
    started: float | None = None
    seconds: float = 0.0
    worker: str = ""
    log: str | None = None
    error: dict[str, Any] | None = None
    from_run: str | None = None

    def take(self, outcome: Outcome) -> None:
        """Fill in how the step ended."""
        for name in (
            "status",
            "key",
            "inputs",
            "outputs",
            "attempts",
            "started",
            "seconds",
            "worker",
            "error",
        ):
            setattr(self, name, getattr(outcome, name))
        self.from_run = outcome.from_run

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(self)},
            "inputs": {port: reference.as_dict() for port, reference in self.inputs.items()},
            "outputs": {port: reference.as_dict() for port, reference in self.outputs.items()},
        }


@dataclass
class RunRecord:
    """One run. Times are seconds since the epoch, `resumed` several; `folder` is where the record lies.

    A run that was handed over is called `engine_run` by its engine.
    """

    id: str
    pipeline: str
    file: str
    status: str = "running"
    started: float = 0.0
    ended: float | None = None
    resumed: list[float] = field(default_factory=list)
    user: str = ""
    host: str = ""
    engine: str = "dask"
    engine_run: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    commit: str | None = None
    dirty: bool | None = None
    code: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    millpond: str = ""
    only: list[str] = field(default_factory=list)
    force: list[str] = field(default_factory=list)
    results: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    steps: dict[str, StepRecord] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def seconds(self) -> float | None:
        """How long the run took, once it is over."""
        return None if self.ended is None else self.ended - self.started

    @classmethod
    def begun(
        cls,
        run: str,
        pipeline: Pipeline,
        parameters: dict[str, Any],
        tasks: Iterable[StepTask],
        version: tuple[str | None, bool | None],
        **more: Any,
    ) -> RunRecord:
        """The record of a run that begins now, here, by this user.

        Args:
            parameters: their values as JSON has them.
            version: the commit of the code, and whether files were changed since.
            more: further attributes.
        """
        commit, dirty = version
        return cls(
            id=run,
            pipeline=pipeline.name,
            file=str(pipeline.path),
            started=time.time(),
            user=provenance.user(),
            host=os.uname().nodename,
            parameters=parameters,
            commit=commit,
            dirty=dirty,
            environment={"key": provenance.environment_key(), "python": sys.version.split()[0]},
            millpond=provenance.version(),
            steps={
                task.name: StepRecord(
                    task.name, task.kind, list(task.needs), code=task.code, static=task.static
                )
                for task in tasks
            },
            **more,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        found = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "folder"}
        found["steps"] = {name: step.as_dict() for name, step in self.steps.items()}
        return found

    @classmethod
    def from_dict(cls, data: dict[str, Any], folder: Path) -> RunRecord:
        """The inverse of `as_dict`; keys of a later version are passed over."""
        steps = {}
        for name, item in data.get("steps", {}).items():
            ports = {
                kind: {port: Reference.from_dict(value) for port, value in item[kind].items()}
                for kind in ("inputs", "outputs")
            }
            steps[name] = StepRecord(**{**_known(StepRecord, item), **ports})
        return cls(**{**_known(cls, data), "steps": steps, "folder": folder})

    def write(self) -> None:
        """Write the record, whole or not at all."""
        made = self.folder / f".{RECORD}.{os.getpid()}"
        made.write_text(_lines(self.as_dict()), encoding="utf-8")
        made.replace(self.folder / RECORD)


def _lines(record: dict[str, Any]) -> str:
    """JSON with a line per key and per step: readable, and ten times quicker than an indented one."""
    found = {name: json.dumps(value, default=str) for name, value in record.items()}
    steps = [
        f" {json.dumps(name)}: {json.dumps(step, default=str)}" for name, step in record["steps"].items()
    ]
    found["steps"] = "{\n" + ",\n".join(steps) + "\n}"
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {value}" for name, value in found.items()) + "\n}\n"


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in data.items() if name in names}


def new_id(pipeline: str) -> str:
    """A name for a run that sorts by time: ``20261122-034512-flights-ab12`` (UTC)."""
    now = datetime.datetime.now(datetime.UTC)
    return f"{now:%Y%m%d-%H%M%S}-{pipeline}-{secrets.token_hex(2)}"


def alive(folder: Path) -> bool:
    """Whether a run's runner lives."""
    return (folder / LOCK).exists() and held(folder)


class Runs:
    """The records of a project.

    Args:
        folder: ``<project>/.millpond/runs``; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, record: RunRecord) -> IO[bytes]:
        """Make the folder of a new run, write its first record, and give the lock that says it goes on."""
        record.folder = self.folder / record.id
        (record.folder / "steps").mkdir(parents=True)
        lock = hold(record.folder)
        record.write()
        return lock

    def reopen(self, run: str) -> tuple[RunRecord, IO[bytes]]:
        """Take up a run that is over or was killed: its record, and the lock that says it goes on again.

        Raises:
            MillpondError: there is no such run, or it goes on.
        """
        record = self.read(run)
        try:
            lock = hold(record.folder)
        except BlockingIOError:
            raise MillpondError(
                f"the run {run} goes on", hint=f"millpond pipeline cancel {run} stops it"
            ) from None
        (record.folder / CANCEL).unlink(missing_ok=True)
        return self.read_open(record.folder), lock

    def read_open(self, folder: Path) -> RunRecord:
        """The record as it was last written, with what the steps themselves wrote."""
        record = RunRecord.from_dict(json.loads((folder / RECORD).read_bytes()), folder)
        outcomes = Journal(folder).outcomes()
        for name, step in record.steps.items():
            if name in outcomes:
                step.take(outcomes[name])
        return record

    def list(self, pipeline: str | None = None) -> list[RunRecord]:
        """All runs, the latest first; of one pipeline if it is named."""
        found = []
        for name in self._ids():
            if pipeline is None or name[16:-5] == pipeline:
                with suppress(MillpondError):
                    found.append(self.read(name))
        return found

    def _ids(self) -> Iterator[str]:
        if self.folder.is_dir():
            names = (entry.name for entry in os.scandir(self.folder) if _ID.fullmatch(entry.name))
            yield from sorted(names, reverse=True)

    def find(self, prefix: str) -> RunRecord:
        """The run whose id starts with, or ends with, a text; ``last`` is the latest.

        Raises:
            MillpondError: there is none, or there are several.
        """
        ids = list(self._ids())
        matching = ids[:1] if prefix == "last" else [name for name in ids if name.startswith(prefix)]
        matching = matching or [name for name in ids if name.endswith(f"-{prefix}")]
        if not matching:
            raise MillpondError(f"there is no run {prefix}", hint="millpond runs lists them")
        if len(matching) > 1:
            shown = ", ".join(matching[:5]) + (", …" if len(matching) > 5 else "")
            raise MillpondError(f"{prefix} names {len(matching)} runs", hint=f"they are {shown}")
        return self.read(matching[0])

    def read(self, run: str) -> RunRecord:
        """One run's record; one whose runner died is completed from its steps' outcomes.

        Raises:
            MillpondError: there is no such record, or it cannot be read.
        """
        folder = self.folder / run
        try:
            record = RunRecord.from_dict(json.loads((folder / RECORD).read_bytes()), folder)
        except FileNotFoundError:
            raise MillpondError(f"there is no run {run}", hint="millpond runs lists them") from None
        except (ValueError, TypeError, KeyError) as error:
            raise MillpondError(f"the record of the run {run} cannot be read: {error}") from None
        handed = (folder / HANDED).exists()
        if handed:
            outcomes = Journal(folder).outcomes()
            for name, step in record.steps.items():
                if name in outcomes:
                    step.take(outcomes[name])
        elif record.status == "running" and not alive(folder):
            record.status = "interrupted"
            outcomes = Journal(folder).outcomes()
            for name, step in record.steps.items():
                if name in outcomes:
                    step.take(outcomes[name])
                elif step.status in ("queued", "running"):
                    step.status = "interrupted"
        return record

    def log(self, record: RunRecord, step: str) -> str:
        """What a step printed and logged; empty when that is nothing.

        Raises:
            MillpondError: the run has no such step.
        """
        if step not in record.steps:
            from millpond.model.errors import did_you_mean

            hint = did_you_mean(step, record.steps)
            raise MillpondError(f"the run {record.id} has no step {step}", hint=hint)
        try:
            return (record.folder / "steps" / f"{step}.log").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""
