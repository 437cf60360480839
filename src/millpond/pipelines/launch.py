"""Starts a run in the environment that has its packages, and hands its events on with their types.

Needs nothing but the standard library and pydantic; the runner is a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Pipeline, read_pipeline
from millpond.pipelines.environments import StepEnvironment
from millpond.pipelines.events import Event, from_line
from millpond.pipelines.parameters import resolve
from millpond.pipelines.plan import chosen
from millpond.pipelines.record import RunRecord, Runs, new_id

SENT = "submitted-code"
"""The folder of all copies of pipelines that were sent here, below the data of the component `pipelines`."""


class Launch:
    """A run that could start.

    Args:
        pipeline: the pipeline file, or its folder.
        parameters: as the user wrote them.
        runs: the folder of the project's run records.
        only: run these steps and what they need.
        force: steps whose earlier results are not taken, or ``all``.
        resume: the id of the run to go on with, in place of a new one.
        run: the id of the new run, where somebody has chosen it before.
        code: commit of the code, and whether files were changed since, for a folder that is a copy.

    Raises:
        DocumentError, UsageError: the file, a parameter or a step's name is wrong.
    """

    def __init__(
        self,
        pipeline: Path,
        parameters: Mapping[str, Any] | None = None,
        *,
        runs: Path,
        only: Sequence[str] = (),
        force: Sequence[str] = (),
        engine: str = "dask",
        resume: str | None = None,
        run: str | None = None,
        code: tuple[str | None, bool | None] | None = None,
    ) -> None:
        self.pipeline: Pipeline = read_pipeline(pipeline)
        self.parameters = dict(parameters or {})
        resolve(self.pipeline.parameters, self.parameters)
        self.steps = chosen(self.pipeline, only, force)
        self.runs = runs
        self.only, self.force, self.engine = list(only), list(force), engine
        self.resume = resume is not None
        self.id = resume or run or new_id(self.pipeline.name)
        self.code = code

    @classmethod
    def of_record(cls, record: RunRecord) -> Launch:
        """Go on with a run that failed, was cancelled or killed, with the same parameters.

        Raises:
            DocumentError, UsageError: the file, or what the run was given, is wrong by now.
        """
        return cls(
            Path(record.file),
            record.parameters,
            runs=record.folder.parent,
            only=record.only,
            force=record.force,
            engine=record.engine,
            resume=record.id,
            # Of a copy that was sent from elsewhere, git here knows nothing, or something else.
            code=(record.commit, record.dirty) if SENT in Path(record.file).parts else None,
        )

    def start(
        self,
        python: Path,
        env: Mapping[str, str],
        environments: Mapping[str, StepEnvironment] | None = None,
    ) -> Running:
        """Start the runner.

        Args:
            python: of the environment that has the pipeline's packages, and dask.
            env: the whole environment of the run; ``PYTHONPATH`` must lead to millpond. A pipeline that
                brings its own packages does not use the platform's workers, as these have others.

            environments: of the steps that have one of their own, installed.

        Raises:
            MillpondError: the Python cannot be started.
        """
        names = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        if self.pipeline.lock is not None:
            names.pop("DASK_SCHEDULER_ADDRESS", None)
        names["PATH"] = os.pathsep.join([str(python.parent), names.get("PATH", os.defpath)])
        return Running(self, python, {"DO_NOT_TRACK": "1", **names}, environments or {})


def _file(what: str, data: Any) -> IO[str]:
    """A private file that the runner reads; gone when it is closed."""
    made: IO[str] = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed by `Running.__exit__`
        "w", prefix=f"millpond-{what}-", suffix=".json", encoding="utf-8"
    )
    json.dump(data, made, default=str)
    made.flush()
    return made


class Running:
    """A run that goes on; iterate over it for its events, use it in ``with`` so that nothing stays behind."""

    def __init__(
        self,
        launch: Launch,
        python: Path,
        env: dict[str, str],
        environments: Mapping[str, StepEnvironment],
    ) -> None:
        self.launch = launch
        self._parameters = _file("parameters", launch.parameters)
        found = {name: environment.as_dict() for name, environment in environments.items()}
        self._environments = _file("environments", found)
        argv = [str(python), "-m", "millpond.pipelines.runner", "--run", launch.id, "--engine", launch.engine]
        argv += ["--pipeline", str(launch.pipeline.path), "--runs", str(launch.runs.resolve())]
        argv += ["--parameters-file", self._parameters.name]
        argv += ["--environments-file", self._environments.name]
        argv += ["--resume"] if launch.resume else []
        if launch.code is not None:
            argv += ["--commit", launch.code[0] or "", *(["--dirty"] if launch.code[1] else [])]
        argv += [word for name in launch.only for word in ("--only", name)]
        argv += [word for name in launch.force for word in ("--force", name)]
        self._errors: deque[str] = deque(maxlen=30)
        self._seen = False
        self._asked = False
        self._before: Any = None
        try:
            # In a session of its own: Ctrl-C reaches this process, which asks the runner to stop in order.
            self.process: subprocess.Popen[str] = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            self._parameters.close()
            raise MillpondError(f"{python} cannot be started: {error.strerror or error}") from None
        self._reader = threading.Thread(target=self._read_errors, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def _read_errors(self, stream: IO[str]) -> None:
        for line in stream:
            self._errors.append(line.rstrip("\n"))

    def __enter__(self) -> Running:
        # A handler, and no KeyboardInterrupt: it would strike wherever the caller draws the events.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def _interrupted(self, number: int, frame: object) -> None:
        if self._asked:
            self.kill()
            raise KeyboardInterrupt
        self._asked = True
        self.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self.process.poll() is None:
                self.cancel()
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(20)
        finally:
            self.kill()
            self._parameters.close()
            self._environments.close()
            if self._before is not None:
                signal.signal(signal.SIGINT, self._before)

    def __iter__(self) -> Iterator[Event]:
        """The events until the run is over.

        In the main thread, inside ``with``: Ctrl-C asks the run to stop, and the events go on until it did;
        a second one kills it and raises KeyboardInterrupt.

        Raises:
            MillpondError: the runner died without a word; its last lines are the details.
        """
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                event = from_line(line)
            except ValueError:
                continue
            self._seen = True
            yield event
        self._over()

    def _over(self) -> None:
        code = self.process.wait()
        self._reader.join(2)
        folder = self.launch.runs / self.launch.id
        ended = folder.exists() and Runs(self.launch.runs).read(self.launch.id).status != "interrupted"
        if code not in (0, 1, 2, 3, 130) or not (ended or self._seen):
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            hint = f"millpond runs show {self.launch.id} has what was done" if folder.exists() else None
            raise MillpondError(f"the runner broke off: {how}", hint=hint, details=self._errors)

    def cancel(self) -> None:
        """Ask the run to stop; it still tells how each step ended."""
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the runner and all its processes at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def record(self) -> RunRecord:
        """The run's record as it is now.

        Raises:
            MillpondError: the run was refused and has none.
        """
        return Runs(self.launch.runs).read(self.launch.id)

    @property
    def last_words(self) -> list[str]:
        """The last lines that the runner wrote to stderr."""
        return list(self._errors)
