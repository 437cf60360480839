"""A step in a process of its own: in the environment that it names, or within the memory that it may take.

``python -m millpond.pipelines.isolated`` gets the step on standard input and answers with JSON lines on a
pipe of its own, so that whatever the step prints is its log. The worker that started it waits, watches its
memory, and ends it when the step is to stop.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.failure import describe
from millpond.pipelines.process import follow, stop
from millpond.pipelines.stepcall import Progress, Scratch, perform
from millpond.pipelines.task import Shared, StepTask

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
    "POLARS_MAX_THREADS",
)
_LOOK = 0.2


class StepFailed(Exception):  # noqa: N818 - what happened, not what went wrong here
    """The step failed in its own process; `error` is what `failure.describe` made of it there."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message", "failed")))
        self.error = error


def perform_apart(
    task: StepTask,
    shared: Shared,
    inputs: Mapping[str, Reference],
    scratch: Scratch,
    code: Path,
    progress: Progress,
) -> dict[str, Reference]:
    """As `perform`, in a process of its own.

    Raises:
        StepFailed: the step failed.
        MillpondError: the process could not be started, died, or took more memory than it may.
    """
    python = task.environment.get("python") or sys.executable
    if not Path(python).exists():
        raise MillpondError(
            f"the environment of the step {task.name} is not on this machine",
            hint="steps with an environment of their own run where the run was started",
        )
    # What only the worker needs stays here: the code is unpacked already, and the cache was asked.
    slim = replace(shared, bundle=b"", known={})
    given = pickle.dumps((task, slim, dict(inputs), str(scratch.path), str(code)))
    read, write = os.pipe()
    try:
        process = subprocess.Popen(
            [python, "-m", "millpond.pipelines.isolated", str(write)],
            cwd=scratch.path,
            env=_variables(task, python),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(write,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(read)
        raise MillpondError(f"{python} cannot be started: {error.strerror or error}") from None
    finally:
        os.close(write)
    answers = _Answers(read, progress)
    watch = _Memory(process.pid, task.resources.get("memory"))
    try:
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(given)
            process.stdin.close()
        follow(process, watch.look)
    finally:
        stop(process)
        answers.thread.join(5)
    return answers.outputs(task, process.returncode)


def _variables(task: StepTask, python: str) -> dict[str, str]:
    own = task.environment
    found = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "VIRTUAL_ENV")}
    folders = [*(own.get("bin") or [str(Path(python).parent)]), os.environ.get("PATH", os.defpath)]
    found |= {**(own.get("env") or {}), "PATH": os.pathsep.join(folders), "PYTHONUNBUFFERED": "1"}
    if cpus := task.resources.get("cpus"):
        found |= dict.fromkeys(_THREADS, str(cpus))
    return found


class _Answers:
    """What the step's process says on its pipe, read as it comes."""

    def __init__(self, descriptor: int, progress: Progress) -> None:
        self.last: dict[str, Any] | None = None
        self._progress = progress
        self.thread = threading.Thread(
            target=self._read, args=(descriptor,), name="millpond-isolated", daemon=True
        )
        self.thread.start()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8") as lines:
            for line in lines:
                answer = json.loads(line)
                if "fraction" in answer:
                    self._progress(answer["fraction"], answer["message"])
                else:
                    self.last = answer

    def outputs(self, task: StepTask, code: int) -> dict[str, Reference]:
        """The references of the outputs.

        Raises:
            StepFailed, MillpondError: there are none.
        """
        if self.last is None:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise MillpondError(
                f"the process of the step {task.name} ended without an answer: {how}",
                hint="its log has its last words; an environment of its own needs pydantic, PyYAML and boto3",
            )
        if "error" in self.last:
            raise StepFailed(self.last["error"])
        return {name: Reference.from_dict(item) for name, item in self.last["outputs"].items()}


class _Memory:
    """Holds a process and all that it started within the memory that it may take."""

    def __init__(self, process: int, most: int | None) -> None:
        self._process = process
        self._most = most
        self._next = time.monotonic() + _LOOK

    def look(self) -> None:
        """Now and then, see how much it takes.

        Raises:
            MillpondError: it is too much.
        """
        if self._most is None or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOOK
        import psutil

        total = 0
        with suppress(psutil.Error):
            process = psutil.Process(self._process)
            for item in [process, *process.children(recursive=True)]:
                with suppress(psutil.Error):
                    total += item.memory_info().rss
        if total > self._most:
            raise MillpondError(
                f"the step took {total >> 20} MiB of memory, and its resources allow {self._most >> 20} MiB",
                hint="raise resources: memory, or read less at once",
            )


def main(descriptor: int) -> int:
    """The step's own process; always answers, and returns 0 unless it could not."""
    task, shared, inputs, folder, code = pickle.load(sys.stdin.buffer)
    sys.stdin.close()
    threading.Thread(target=_stay_with, args=(os.getppid(),), name="millpond-parent", daemon=True).start()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    for name in ("botocore", "boto3", "urllib3", "s3transfer", "py4j", "matplotlib"):
        logging.getLogger(name).setLevel(logging.WARNING)
    sys.path.insert(0, code)
    with os.fdopen(descriptor, "w", encoding="utf-8") as pipe:

        def progress(fraction: float, message: str) -> None:
            _say(pipe, {"fraction": fraction, "message": message})

        scratch = Scratch(Path(folder), "step")
        try:
            outputs = perform(task, shared, inputs, scratch, Path(code), progress)
            _say(pipe, {"outputs": {name: item.as_dict() for name, item in outputs.items()}})
        except BaseException as error:
            _say(pipe, {"error": describe(error, Path(code))})
    return 0


def _stay_with(parent: int) -> None:
    """End with the worker, however that went: nobody would take the answer."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _say(pipe: IO[str], answer: dict[str, Any]) -> None:
    pipe.write(json.dumps(answer, default=str) + "\n")
    pipe.flush()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
