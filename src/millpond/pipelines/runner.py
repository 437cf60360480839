"""Runs one pipeline in the environment that has its packages, and tells how it goes as JSON lines on stdout.

Started by `millpond.pipelines.launch`: ``python -m millpond.pipelines.runner --pipeline FILE --runs DIR``.
It writes the run's record, so that the record survives whoever started it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from millpond.model.errors import MillpondError
from millpond.pipelines import extension, provenance
from millpond.pipelines.bundle import pack
from millpond.pipelines.claims import Claims
from millpond.pipelines.document import Pipeline, read_pipeline
from millpond.pipelines.environments import StepEnvironment
from millpond.pipelines.events import (
    Event,
    RunEnded,
    RunRefused,
    RunStarted,
    RunWaits,
    StepChanged,
    StepLogged,
    StepProgress,
    to_line,
)
from millpond.pipelines.graph import port_of
from millpond.pipelines.index import Index
from millpond.pipelines.journal import CANCEL, Journal
from millpond.pipelines.parameters import as_plain, resolve
from millpond.pipelines.plan import Planned, chosen, plan, summary_of
from millpond.pipelines.record import RunRecord, Runs, StepRecord, alive, new_id
from millpond.pipelines.task import Outcome, Shared, Work

# What code in a step may need from the environment of the run's owner; contract of the platform's interfaces.
FORWARDED = (
    "AWS_",
    "MLFLOW_",
    "PG",
    "MILLPOND_",
    "KAFKA_",
    "PYICEBERG_",
    "MYSQL_",
    "DATABRICKS_",
    "EVENTHUBS_",
    "ELASTICSEARCH_",
    "SQLCMD",
)
_EVERY = 0.5


class Runner:
    """One run of one pipeline.

    Args:
        pipeline: read strictly.
        runs: the folder of the project's records.
        parameters: as the user gave them.
        tell: takes the events.
        resume: go on with the run `run`; its steps that are done and unchanged are not run again.
        environments: installed environments of steps that have their own, by the steps' names.
        code: commit of the code, and whether files were changed since; what git says of the folder when None.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        runs: Path,
        parameters: Mapping[str, Any],
        tell: Any,
        *,
        run: str | None = None,
        only: list[str] | None = None,
        force: list[str] | None = None,
        engine: str = "dask",
        resume: bool = False,
        environments: Mapping[str, StepEnvironment] | None = None,
        code: tuple[str | None, bool | None] | None = None,
    ) -> None:
        self.environments = environments
        self.code = code
        self.pipeline = pipeline
        self.runs = Runs(runs)
        self.tell = tell
        self.values = resolve(pipeline.parameters, parameters)
        self.id = run or new_id(pipeline.name)
        self.only, self.force = only or [], force or []
        self.engine_name = engine
        self.resume = resume
        self.names = chosen(pipeline, self.only, self.force)
        self.logs: dict[str, IO[str]] = {}
        self.written = time.monotonic()
        self.cost = 0.0

    def run(self, engine: extension.Engine | None = None) -> RunRecord:
        """Run the pipeline to its end, whatever that is, and return its record."""
        planned = plan(self.pipeline, self.values, self.id, self.names, self.force, self.environments)
        bundle, code = pack(self.pipeline.folder)
        with self._opened(planned, code) as lock:
            lock.seek(0)
            epoch = int(lock.read() or b"1")
            self.tell(
                RunStarted(
                    self.id,
                    self.pipeline.name,
                    str(self.record.folder),
                    self.record.parameters,
                    summary_of(planned.tasks),
                )
            )
            index = Index(self.runs.folder)
            claims = Claims(self.runs.folder)
            try:
                self._wait(claims, planned)
                known = index.begin(self.id, planned.statics)
                work = Work(self._shared(bundle, code, known, epoch), planned.tasks)
                chosen_engine = engine or extension.find("millpond.engines", self.engine_name)()
                outcomes = chosen_engine.execute(work, self._report)
                self.record.status = self._status(outcomes)
            except KeyboardInterrupt:
                self.record.status = "cancelled"
                self._abandon("cancelled")
            except MillpondError as error:
                self.record.status, self.record.error = "failed", error.as_dict()
                self._abandon("skipped")
                self.tell(RunRefused(error.as_dict()))
            finally:
                claims.release(self.id)
            self._finish(index, planned)
        return self.record

    def _opened(self, planned: Planned, code: str) -> IO[bytes]:
        """The record of this run, new or taken up again, and its lock."""
        new = self._new_record(planned, code)
        if not self.resume:
            self.record = new
            return self.runs.create(new)
        old, lock = self.runs.reopen(self.id)
        journal = Journal(old.folder)
        kept: set[str] = set()
        for task in planned.tasks:
            before = old.steps.get(task.name)
            known, _ = journal.read(task.name)
            good = known is not None and known.good and before is not None
            # What stands before it counts too: its results may be others now.
            if good and before.static == task.static and kept.issuperset(task.needs):  # type: ignore[union-attr]
                kept.add(task.name)
            else:
                journal.forget(task.name)
            if before is not None and before.log:
                new.steps[task.name].log = before.log
        new.started, new.resumed, new.folder = old.started, [*old.resumed, new.started], old.folder
        self.record = new
        new.write()
        return lock

    def _wait(self, claims: Claims, planned: Planned) -> None:
        """Let runs that write the same places, and began before, come to their end first."""
        others = claims.claim(self.id, planned.tasks)
        for other in others:
            self.tell(RunWaits(self.id, other))
            while alive(self.runs.folder / other):
                if (self.record.folder / CANCEL).exists():
                    raise KeyboardInterrupt
                time.sleep(0.1)

    def _status(self, outcomes: Mapping[str, Outcome]) -> str:
        if all(outcome.good or outcome.left_out for outcome in outcomes.values()):
            return "succeeded"
        return "cancelled" if (self.record.folder / CANCEL).exists() else "failed"

    def _new_record(self, planned: Planned, code: str) -> RunRecord:
        return RunRecord.begun(
            self.id,
            self.pipeline,
            as_plain(self.values),
            planned.tasks,
            self.code or provenance.commit(self.pipeline.folder),
            engine=self.engine_name,
            code=code,
            only=self.only,
            force=self.force,
        )

    def _shared(self, bundle: bytes, code: str, known: dict[str, dict[str, Any]], epoch: int) -> Shared:
        extra = os.environ.get("MILLPOND_FORWARD", "").split(",")
        environment = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(FORWARDED) or name in extra or name == "DASK_SCHEDULER_ADDRESS"
        }
        return Shared(
            run=self.id,
            pipeline=self.pipeline.name,
            parameters=dict(self.values),
            bundle=bundle,
            bundle_digest=code,
            known=known,
            environment=environment,
            environment_key=self.record.environment["key"],
            commit=self.record.commit,
            dirty=self.record.dirty,
            run_folder=str(self.record.folder.resolve()),
            epoch=epoch,
        )

    def _report(self, event: Mapping[str, Any]) -> None:
        """Take an event of the engine into the record, and pass it on."""
        name = event["step"]
        step = self.record.steps[name]
        match event["event"]:
            case "running":
                step.status, step.started = "running", event["started"]
                self.tell(StepChanged(name, "running", event["attempt"]))
            case "log":
                self._log(step, event["text"])
                self.tell(StepLogged(name, event["text"]))
                return
            case "progress":
                self.tell(StepProgress(name, event["fraction"], event["message"]))
                return
            case "retry":
                step.attempts, step.error = event["attempt"], event["error"]
                self.tell(
                    StepChanged(name, "retry", event["attempt"], error=event["error"], delay=event["delay"])
                )
            case "ended":
                self._ended(step, event["outcome"])
        self._write()

    def _ended(self, step: StepRecord, outcome: Outcome) -> None:
        step.take(outcome)
        self.tell(
            StepChanged(
                step.name,
                outcome.status,
                outcome.attempts,
                outcome.seconds,
                outcome.outputs,
                outcome.error,
                from_run=outcome.from_run,
            )
        )

    def _log(self, step: StepRecord, text: str) -> None:
        if step.name not in self.logs:
            step.log = f"steps/{step.name}.log"
            self.logs[step.name] = (self.record.folder / step.log).open("a", encoding="utf-8")
        self.logs[step.name].write(text)
        self.logs[step.name].flush()

    def _write(self) -> None:
        """Keep the record on disk near to the truth; the steps' own files are exact.

        A record of thousands of steps is written less often: a twentieth of the time is the most it may take.
        """
        begun = time.monotonic()
        if begun - self.written > max(_EVERY, 20 * self.cost):
            self.record.write()
            self.written = time.monotonic()
            self.cost = self.written - begun

    def _abandon(self, status: str) -> None:
        for step in self.record.steps.values():
            if step.status in ("queued", "running"):
                step.status = status
                self.tell(StepChanged(step.name, status))  # type: ignore[arg-type]

    def _finish(self, index: Index, planned: Planned) -> None:
        record = self.record
        record.ended = time.time()
        record.results = self._results()
        for file in self.logs.values():
            file.close()
        record.write()
        outcomes = [
            Outcome(step.name, "done", step.outputs, key=step.key)
            for step in record.steps.values()
            if step.status == "done"
        ]
        index.end(self.id, planned.statics, outcomes)
        counts = Counter(step.status for step in record.steps.values())
        status: Any = record.status
        self.tell(RunEnded(self.id, status, record.seconds or 0.0, record.results, dict(counts)))

    def _results(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for label, text in self.pipeline.results.items():
            step, port = port_of(text) or ("", "")
            values = [
                reference.value if reference.by_value else reference.uri
                for name, item in self.record.steps.items()
                if name.partition("[")[0] == step and (reference := item.outputs.get(port)) is not None
            ]
            if values and step in self.record.steps:
                found[label] = values[0]
            elif values:
                found[label] = values
        return found


def main(arguments: list[str] | None = None) -> int:
    """Run, and return the exit code: 0 succeeded, 1 failed, 3 refused, 130 cancelled."""
    parser = argparse.ArgumentParser(prog="python -m millpond.pipelines.runner", description=__doc__)
    parser.add_argument("--pipeline", required=True, type=Path)
    parser.add_argument("--runs", required=True, type=Path, help="the folder of the run records")
    parser.add_argument("--run", help="the id of the new run")
    parser.add_argument("--parameters-file", type=Path, help="a JSON object")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--force", action="append", default=[])
    parser.add_argument("--engine", default="dask")
    parser.add_argument("--environments-file", type=Path, help="a JSON object: step -> its environment")
    parser.add_argument("--commit", help="the version of the code, where git cannot tell; empty for none")
    parser.add_argument("--dirty", action="store_true", help="files were changed since that version")
    parser.add_argument("--resume", action="store_true", help="go on with the run that --run names")
    options = parser.parse_args(arguments)

    out = _private_stdout()

    def tell(event: Event) -> None:
        out.write(to_line(event) + "\n")
        out.flush()

    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    try:
        text = options.parameters_file.read_text(encoding="utf-8") if options.parameters_file else "{}"
        runner = Runner(
            read_pipeline(options.pipeline, strict=True),
            options.runs,
            json.loads(text),
            tell,
            run=options.run,
            only=options.only,
            force=options.force,
            engine=options.engine,
            resume=options.resume,
            environments=_environments(options.environments_file),
            code=None if options.commit is None else (options.commit or None, options.dirty or None),
        )
        status = runner.run().status
    except MillpondError as error:
        tell(RunRefused(error.as_dict()))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return {"succeeded": 0, "cancelled": 130}.get(status, 1)


def _environments(file: Path | None) -> dict[str, StepEnvironment]:
    data = json.loads(file.read_text(encoding="utf-8")) if file else {}
    return {name: StepEnvironment.of(item) for name, item in data.items()}


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _private_stdout() -> IO[str]:
    """Keep stdout for events alone: whatever else prints here, or in a child, goes to stderr."""
    sys.stdout.flush()
    private = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.set_inheritable(private.fileno(), False)
    os.dup2(2, 1)
    return private


if __name__ == "__main__":
    raise SystemExit(main())
