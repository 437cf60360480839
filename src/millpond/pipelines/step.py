"""One step of a run in any process: ``python -m millpond.pipelines.step``, which workflow engines call.

The engine decides when a step runs and how often it is tried; this decides what that means: the same tasks,
keys, references, logs and records as the embedded engine's. All steps of a run share the run's folder. The
first one that comes plans the run and keeps its code there, so that steps see one state of the files however
long the run takes; the last one closes the record. No process lives in between, so a run that was handed
over has no lock, and goes on for as long as its engine says.

In a pod the pipeline's folder comes as a zip, the run's folder is a volume that all steps share, and the id
is made from what the engine says of the run: see `millpond.pipelines.export`.

Exit codes: 0 the step is done, cached or left out; 1 it failed; 3 it was refused.
"""

from __future__ import annotations

import argparse
import datetime
import fcntl
import hashlib
import json
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from millpond.ending import end
from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError, UsageError, did_you_mean
from millpond.pipelines import provenance
from millpond.pipelines.bundle import pack, unpack
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.environments import StepEnvironment
from millpond.pipelines.graph import port_of
from millpond.pipelines.handover.process import run_id
from millpond.pipelines.index import Index
from millpond.pipelines.journal import CANCEL, Journal
from millpond.pipelines.parameters import as_plain, resolve
from millpond.pipelines.plan import chosen, plan
from millpond.pipelines.record import HANDED, RunRecord, Runs
from millpond.pipelines.task import Outcome, Shared, StepTask, Work
from millpond.pipelines.worker import execute

_WORK = "work.pickle"
_TURN = "turn"
_GRACE = 10.0
"""Seconds that a cancelled step has to say so itself."""


class HandedRun:
    """A run whose steps are started by somebody else, each in a process of its own.

    Args:
        pipeline: the pipeline file.
        runs: the folder of the project's records.
        run: the run's id, the same for all its steps.
        parameters: as the user gave them.
        engine: the name of the engine, for the record, and `engine_run` its own name of the run.
        environments: of the steps that have their own, installed here.
        commit: the version of the code, where the folder itself cannot tell.
        out: takes what the step prints and logs; what it prints is caught, so this is no ``sys.stdout``.
    """

    def __init__(
        self,
        pipeline: Path,
        runs: Path,
        run: str,
        parameters: Mapping[str, Any],
        *,
        engine: str,
        engine_run: str | None = None,
        commit: str | None = None,
        environments: Mapping[str, StepEnvironment] | None = None,
        out: IO[str],
    ) -> None:
        self.out = out
        self.pipeline = read_pipeline(pipeline, strict=True)
        self.runs = Runs(runs)
        self.folder = runs / run
        self.id = run
        self.parameters = dict(parameters)
        self.engine = engine
        self.engine_run = engine_run
        self.environments = environments
        self.commit = commit

    def step(self, name: str, *, attempt: int | None = None, last: bool = True) -> bool:
        """Run a step, all its items where it fans out, and return whether what needs it can go on.

        Args:
            attempt: which try this is, as the engine counts; None where it does not say.
            last: no further try follows when this one fails.

        Raises:
            MillpondError: the run has no such step, or what it needs has not been run.
        """
        with self._turn():
            work = self._work()
        tasks = [task for task in work.tasks if task.name.partition("[")[0] == name]
        if not tasks and name not in self.pipeline.steps:
            raise UsageError(f"the pipeline has no step {name}", hint=did_you_mean(name, self.pipeline.steps))
        good = True
        for task in tasks:
            good = self._one(task, work, attempt, last) and good
        with self._turn():
            self._close(work)
        return good

    def _one(self, task: StepTask, work: Work, attempt: int | None, last: bool) -> bool:
        journal = Journal(self.folder)
        earlier, _ = journal.read(task.name)
        if earlier is not None and earlier.status == "cancelled":
            (self.folder / CANCEL).unlink(missing_ok=True)  # somebody wants it after all
        if earlier is None or not earlier.good:
            journal.forget(task.name)
        outcomes = journal.outcomes()
        if missing := [other for other in task.needs if other not in outcomes]:
            raise MillpondError(
                f"{task.name} of the run {self.id} needs {', '.join(missing)}, which has not been run"
            )
        upstream = {other: outcomes[other] for other in task.needs}
        # How often it is tried, and after how long, is the engine's affair.
        once = replace(task, retries=0, retry_delay=0.0)
        with _log(self.folder, task.name) as log:

            def emit(event: Mapping[str, Any]) -> None:
                _tell(event, log, self.out)
                if event["event"] == "ended" and _stuck(event["outcome"]):
                    # What does not stop when told to never comes back from `execute`, and nor would this.
                    self._skip_after(task.name, work, journal)
                    with self._turn():
                        self._close(work)
                    _leave()

            outcome = execute(once, work.shared, upstream, emit)
        if earlier is None or not earlier.good:
            tried = attempt or (1 if earlier is None else earlier.attempts + 1)
            outcome = replace(outcome, attempts=max(tried, outcome.attempts))
            journal.end(task.name, outcome.as_json())
        if outcome.status == "cancelled" or (outcome.status == "failed" and last):
            self._skip_after(task.name, work, journal)
        if outcome.error and outcome.status != "cancelled":
            _say(self.out, f"{task.name}: {outcome.error['message']}\n")
        return outcome.good or outcome.left_out

    def _skip_after(self, name: str, work: Work, journal: Journal) -> None:
        """Say of what needs a failed step that it will not run; its engine does not call it any more."""
        for task in work.tasks:
            if name in task.needs and journal.read(task.name)[0] is None:
                reason = {"type": "Skipped", "message": f"it needs {name}"}
                journal.end(task.name, Outcome(task.name, "skipped", error=reason).as_json())
                self._skip_after(task.name, work, journal)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let steps that run side by side plan and write the record one after the other."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / _TURN).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _work(self) -> Work:
        """The run's tasks, as the first of its steps planned them; a file of ours, in a closed folder."""
        kept = self.folder / _WORK
        if not kept.exists():
            self._begin(kept)
        work: Work = pickle.loads(kept.read_bytes())
        return work

    def _begin(self, kept: Path) -> None:
        values = resolve(self.pipeline.parameters, self.parameters)
        planned = plan(self.pipeline, values, self.id, chosen(self.pipeline, [], []), [], self.environments)
        bundle, code = pack(self.pipeline.folder)
        record = RunRecord.begun(
            self.id,
            self.pipeline,
            as_plain(values),
            planned.tasks,
            (self.commit, None) if self.commit else provenance.commit(self.pipeline.folder),
            engine=self.engine,
            engine_run=self.engine_run,
            code=code,
            folder=self.folder,
        )
        (self.folder / "steps").mkdir(exist_ok=True)
        (self.folder / HANDED).write_text(json.dumps(planned.statics))
        shared = Shared(
            run=self.id,
            pipeline=self.pipeline.name,
            parameters=dict(values),
            bundle=bundle,
            bundle_digest=code,
            known=Index(self.runs.folder).begin(self.id, planned.statics),
            # Each process has its own: secrets do not lie about in the run's folder.
            environment={},
            environment_key=record.environment["key"],
            commit=record.commit,
            dirty=record.dirty,
            run_folder=str(self.folder.resolve()),
        )
        record.write()
        fresh = kept.with_suffix(".new")
        fresh.write_bytes(pickle.dumps(Work(shared, planned.tasks)))
        fresh.replace(kept)

    def _close(self, work: Work) -> None:
        """Bring the record up to date; when all steps are over, the run is."""
        record = self.runs.read(self.id)
        outcomes = Journal(self.folder).outcomes()
        for name in record.steps:
            if (self.folder / "steps" / f"{name}.log").exists():
                record.steps[name].log = f"steps/{name}.log"
        record.status, record.ended = "running", None
        if all(task.name in outcomes for task in work.tasks):
            ends = [outcomes[task.name] for task in work.tasks]
            stopped = (self.folder / CANCEL).exists()
            good = all(end.good or end.left_out for end in ends)
            record.status = "succeeded" if good else "cancelled" if stopped else "failed"
            record.ended = time.time()
            record.results = self._results(record)
            statics = json.loads((self.folder / HANDED).read_text())
            done = [outcome for outcome in outcomes.values() if outcome.status == "done"]
            Index(self.runs.folder).end(self.id, statics, done)
        record.write()

    def _results(self, record: RunRecord) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for label, text in self.pipeline.results.items():
            step, port = port_of(text) or ("", "")
            ports = [item.outputs.get(port) for item in record.steps.values() if _of(item.name) == step]
            values = [_shown(reference) for reference in ports if reference is not None]
            if values:
                found[label] = values[0] if step in record.steps else values
        return found


def _of(task: str) -> str:
    return task.partition("[")[0]


def _shown(reference: Reference) -> Any:
    return reference.value if reference.by_value else reference.uri


def _leave() -> None:
    """End this process with all that it started, where its group is its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def _stuck(outcome: str) -> bool:
    return (Outcome.from_json(outcome).error or {}).get("type") == "Stuck"


@contextmanager
def _log(folder: Path, step: str) -> Iterator[IO[str]]:
    with (folder / "steps" / f"{step}.log").open("a", encoding="utf-8") as file:
        yield file


def _tell(event: Mapping[str, Any], log: IO[str], out: IO[str]) -> None:
    """What the step says, to its log and to whoever started this process."""
    if event["event"] == "log":
        log.write(event["text"])
        log.flush()
        _say(out, event["text"])
    elif event["event"] == "ended":
        outcome = Outcome.from_json(event["outcome"])
        word = f"{outcome.status} (as in {outcome.from_run})" if outcome.from_run else outcome.status
        _say(out, f"{outcome.step} {word} after {outcome.seconds:.1f} s\n")


def _say(out: IO[str], text: str) -> None:
    """Tell the engine, as long as it listens: what it ended has its record to finish all the same."""
    with suppress(OSError):
        out.write(text)
        out.flush()


def _end_with_stdin(run_folder: Path) -> None:
    """Leave nothing behind when the engine's process died and could end nothing: cancelled, or killed."""
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held when this process ends by itself
        pass
    Journal(run_folder).cancel()
    time.sleep(_GRACE)
    _leave()


def main(arguments: list[str] | None = None) -> int:
    """Run one step, and return the exit code."""
    options = _options(arguments)
    try:
        pipeline, run = _pipeline(options)
        if options.tied:
            threading.Thread(target=_end_with_stdin, args=(options.runs / run,), daemon=True).start()
        handed = HandedRun(
            pipeline,
            options.runs,
            run,
            {**json.loads(options.parameters), **dict(_pair(text) for text in options.parameter)},
            engine=options.engine,
            engine_run=options.engine_run or options.key,
            environments={
                name: StepEnvironment.of(one) for name, one in json.loads(options.environments).items()
            },
            commit=options.commit,
            out=os.fdopen(os.dup(1), "w", encoding="utf-8"),
        )
        good = handed.step(
            options.step,
            attempt=options.attempt,
            last=options.attempt is None or options.attempt >= options.tries,
        )
    except MillpondError as error:
        sys.stderr.write(f"{error}\n{error.hint or ''}".rstrip() + "\n")
        return 3
    return 0 if good else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m millpond.pipelines.step", description=__doc__)
    parser.add_argument("--pipeline", required=True, type=Path)
    parser.add_argument("--code", type=Path, help="a zip of the pipeline's folder, which --pipeline is in")
    parser.add_argument("--runs", required=True, type=Path, help="the folder of the run records")
    run = parser.add_mutually_exclusive_group(required=True)
    run.add_argument("--run", help="the run's id, the same for all its steps")
    run.add_argument("--key", help="the engine's own name of the run; its id is made from that and --begun")
    parser.add_argument("--begun", type=datetime.datetime.fromisoformat, help="when the engine began the run")
    parser.add_argument("--step", required=True)
    parser.add_argument("--parameters", default="{}", help="a JSON object")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--engine", default="other", help="its name, for the record")
    parser.add_argument("--engine-run", help="its own name of the run, for the record")
    parser.add_argument("--environments", default="{}", help="of steps that have their own: a JSON object")
    tries = parser.add_mutually_exclusive_group()
    tries.add_argument("--attempt", type=int, help="which try this is, from 1; counted when left out")
    tries.add_argument("--retried", type=int, help="how often it was tried before")
    parser.add_argument("--tries", type=int, default=1, help="how many there may be")
    parser.add_argument(
        "--tied", action="store_true", help="end when standard input does: its starter is gone"
    )
    parser.add_argument("--commit", help="the version of the code, for the record")
    options = parser.parse_args(arguments)
    if options.key and options.begun is None:
        parser.error("--key needs --begun")
    if options.retried is not None:
        options.attempt = options.retried + 1
    return options


def _pipeline(options: argparse.Namespace) -> tuple[Path, str]:
    """The pipeline file and the run's id; a zip is unpacked beside the records, where all steps find it."""
    file: Path = options.pipeline
    if options.code is not None:
        bundle = options.code.read_bytes()
        place = options.runs / ".code" / hashlib.sha256(bundle).hexdigest()[:32]
        unpack(bundle, place)
        file = place / file
    return file, options.run or run_id(read_pipeline(file).name, options.begun, options.key)


def _pair(text: str) -> tuple[str, Any]:
    """A parameter's name and value; a list may be JSON, as some engines write it."""
    name, _, value = text.partition("=")
    if value.startswith("["):
        with suppress(ValueError):
            return name, json.loads(value)
    return name, value


if __name__ == "__main__":
    end(main())
