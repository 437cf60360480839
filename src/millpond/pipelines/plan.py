"""From a pipeline file and its parameters to the tasks that an engine runs."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from millpond.lake.reference import LakePath
from millpond.model.errors import UsageError, did_you_mean
from millpond.pipelines import extension
from millpond.pipelines.codec import type_of
from millpond.pipelines.document import LakeInput, Output, Pipeline, Step
from millpond.pipelines.graph import needs, order, port_of, with_needs
from millpond.pipelines.parameters import as_plain
from millpond.pipelines.task import InputTask, OutputTask, StepTask, digest
from millpond.pipelines.template import of_run, render

# Part of every key: raised when a change here makes earlier results wrong.
_VERSION = 1


@dataclass(frozen=True)
class Planned:
    """The tasks of a run, and the static parts of the keys of those whose results are kept."""

    tasks: tuple[StepTask, ...]
    statics: dict[str, str]


def chosen(pipeline: Pipeline, only: Collection[str], force: Collection[str]) -> list[str]:
    """The steps of a run in order: all, or those named and all that they need.

    Raises:
        UsageError: a name is no step.
    """
    for name in [*only, *(name for name in force if name != "all")]:
        if name not in pipeline.steps:
            raise UsageError(f"the pipeline has no step {name}", hint=did_you_mean(name, pipeline.steps))
    graph = needs(pipeline.steps)
    wanted = with_needs(graph, only) if only else set(graph)
    return [name for name in order(graph) if name in wanted]


def plan(
    pipeline: Pipeline,
    parameters: Mapping[str, Any],
    run: str,
    steps: Collection[str],
    force: Collection[str],
) -> Planned:
    """The tasks for some steps of a pipeline.

    Args:
        pipeline: read with ``strict``.
        parameters: their values.
        run: the run's id.
        steps: the names, in an order that respects their needs.
        force: names of steps whose earlier results are not taken, or ``all``.
    """
    planner = _Planner(pipeline, parameters, run)
    tasks = tuple(planner.task(name, "all" in force or name in force) for name in steps)
    return Planned(tasks, {task.name: task.static for task in tasks if task.store})


class _Planner:
    def __init__(self, pipeline: Pipeline, parameters: Mapping[str, Any], run: str) -> None:
        self.pipeline = pipeline
        self.parameters = parameters
        self.resolve = of_run(parameters, run)
        self.needs = needs(pipeline.steps)
        lock = pipeline.lock
        self.lock = hashlib.sha256(lock.read_bytes()).hexdigest() if lock else ""

    def task(self, name: str, forced: bool) -> StepTask:
        """The task of one step."""
        step = self.pipeline.steps[name]
        kind = extension.find("millpond.steps", step.use)
        keys = {
            key: value if key in kind.raw else render(value, self.resolve) for key, value in step.keys.items()
        }
        code = kind().code(kind.keys.model_validate(keys), self.pipeline.folder)
        arguments = render(step.arguments, self.resolve)
        outputs = {port: self._output(port, output) for port, output in step.outputs.items()}
        seed = self._seed(name)
        store = step.cache and kind.cacheable and bool(outputs)
        static = digest(
            _VERSION,
            step.use,
            keys,
            {key: render(step.keys[key], self.resolve) for key in kind.raw if key in step.keys},
            arguments,
            {port: [task.type, task.sink, task.keys] for port, task in outputs.items()},
            code.digest,
            as_plain(self.parameters) if code.uses_parameters else None,
            seed if code.uses_seed else None,
            self.lock,
        )
        return StepTask(
            name=name,
            kind=step.use,
            keys=keys,
            inputs={port: self._input(source) for port, source in step.inputs.items()},
            outputs=outputs,
            arguments=arguments,
            needs=tuple(self.needs[name]),
            retries=step.retries,
            retry_delay=step.retry_delay,
            timeout=step.timeout,
            code=code.digest,
            static=static,
            seed=seed,
            cacheable=store and not forced,
            store=store,
        )

    def _seed(self, step: str) -> int:
        seed = self.parameters.get("seed")
        if isinstance(seed, int) and not isinstance(seed, bool):
            return seed
        return int(digest(self.pipeline.name, step)[:8], 16)

    def _input(self, source: str | LakeInput) -> InputTask:
        if isinstance(source, LakeInput):
            path = LakePath.parse(str(render(source.path, self.resolve)))
            options = {"separator": source.separator} if source.separator != "," else None
            return InputTask(path=path.uri, type=source.type, options=options)
        if port := port_of(source):
            return InputTask(step=port[0], port=port[1])
        path = LakePath.parse(str(render(source, self.resolve)))
        return InputTask(path=path.uri, type=type_of(path.suffix))

    def _output(self, port: str, output: Output) -> OutputTask:
        return OutputTask(port, output.type, output.sink, render(output.keys, self.resolve))


def summary_of(steps: Mapping[str, Step], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Kind and needs of some steps, for those who watch."""
    graph = needs(steps)
    return {name: {"kind": steps[name].use, "needs": graph[name]} for name in names}
