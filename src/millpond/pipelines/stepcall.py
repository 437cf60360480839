"""One call of a step's kind: what it gets to work with, and its values on their way into the sinks.

The same in a worker's own process and in a process of the step's own environment.
"""

from __future__ import annotations

import logging
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from millpond.lake.reference import Reference
from millpond.lake.repository import provenance
from millpond.model.errors import MillpondError
from millpond.pipelines import extension
from millpond.pipelines.context import StepContext
from millpond.pipelines.extension import Sink, StepCall
from millpond.pipelines.inputs import local_file, value_of
from millpond.pipelines.task import OutputTask, Shared, StepTask, digest
from millpond.pipelines.template import of_run, render

Progress = Callable[[float, str], None]


class Scratch:
    """A private folder of one attempt, made when it is first asked for."""

    def __init__(self, home: Path, step: str) -> None:
        self._home = home
        self._step = step
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The folder."""
        if self._path is None:
            self._path = Path(tempfile.mkdtemp(prefix=f"{self._step}-", dir=self._home))
        return self._path

    def remove(self) -> None:
        """Remove it with all that is in it."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)


def perform(
    task: StepTask,
    shared: Shared,
    inputs: Mapping[str, Reference],
    scratch: Scratch,
    code: Path,
    progress: Progress,
) -> dict[str, Reference]:
    """Do the work of a step here and now, and store its outputs.

    Args:
        code: the unpacked folder of the pipeline, which imports find.
        progress: takes how far the step says it is.

    Raises:
        Exception: whatever the step's code raises; MillpondError for a value that no sink takes.
    """
    kind = extension.find("millpond.steps", task.kind)
    call = _call(kind, task, shared, inputs, scratch, code, progress)
    _seed(int(digest(shared.pipeline, task.name)[:8], 16))
    # Commits to repositories, by the step's code or by a sink, carry what made them.
    with provenance.made_by(
        run=shared.run,
        step=task.name,
        pipeline=shared.pipeline,
        code={"commit": shared.commit, "dirty": shared.dirty, "digest": task.code},
        parameters=shared.parameters,
        inputs={port: reference.as_dict() for port, reference in inputs.items()},
        environment=shared.environment_key,
    ):
        values = kind().run(call)
        return {name: _written(values, port, call) for name, port in task.written.items()}


def sink_of(name: str) -> Sink:
    """The sink with this name."""
    found: Sink = extension.find("millpond.sinks", name)()
    return found


def _written(values: Mapping[str, Any], port: OutputTask, call: StepCall) -> Reference:
    try:
        return sink_of(port.sink).write(values[port.name], port, call)
    except ModuleNotFoundError as error:
        raise MillpondError(
            f"the output {port.name} ({port.type}) cannot be written: its environment has no {error.name}",
            hint=f"add {error.name} to the environment of the step",
        ) from error
    except (TypeError, ValueError, FileNotFoundError) as error:
        raise MillpondError(f"the output {port.name} ({port.type}) cannot be written: {error}") from error


def _call(
    kind: Any,
    task: StepTask,
    shared: Shared,
    inputs: Mapping[str, Reference],
    scratch: Scratch,
    code: Path,
    progress: Progress,
) -> StepCall:
    context = StepContext(
        shared.run,
        shared.pipeline,
        task.name,
        shared.parameters,
        task.seed,
        inputs,
        {"commit": shared.commit, "dirty": shared.dirty, "digest": task.code},
        shared.environment_key,
        logging.getLogger(f"millpond.step.{task.name}"),
        progress,
        lambda: scratch.path,
    )

    def local(port: str) -> Path:
        return local_file(inputs[port], port, scratch.path)

    def decode(port: str) -> Any:
        return value_of(inputs[port], port, lambda: scratch.path)

    def rendered(value: Any, names: Any = None, quote: Callable[[str], str] = str) -> Any:
        of = of_run(shared.parameters, shared.run, task.each)
        return render(value, lambda ref: _either(ref, of, names), quote)

    keys = kind.keys.model_validate(task.keys)
    record = Path(shared.run_folder) / "steps"
    return StepCall(
        keys,
        inputs,
        task.arguments,
        task.outputs,
        context,
        code,
        decode,
        local,
        rendered,
        record if record.is_dir() else None,
    )


def _either(reference: Any, of: Callable[[Any], Any], names: Callable[[Any], Any] | None) -> Any:
    own = reference.path[0] in ("parameters", "run", "each")
    return of(reference) if own or names is None else names(reference)


def _seed(seed: int) -> None:
    """Make the global generators start alike, as far as they are loaded."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed(seed % 2**32)
