"""From a pipeline file and its parameters to the tasks that an engine runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millpond.lake.reference import LakePath
from millpond.model.errors import MillpondError, UsageError, did_you_mean
from millpond.model.expression import Reference
from millpond.pipelines import extension
from millpond.pipelines.codec import type_of
from millpond.pipelines.document import LakeInput, Output, Pipeline
from millpond.pipelines.environments import StepEnvironment
from millpond.pipelines.fanout import fan_of
from millpond.pipelines.graph import conditions_of, needs, order, port_of, with_needs
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
    environments: Mapping[str, StepEnvironment] | None = None,
) -> Planned:
    """The tasks for some steps of a pipeline.

    Args:
        pipeline: read with ``strict``.
        parameters: their values.
        run: the run's id.
        steps: the names, in an order that respects their needs.
        force: names of steps whose earlier results are not taken, or ``all``.
        environments: the installed environments of the steps that have one of their own.

    Raises:
        UsageError: a list to fan out over is none.
        MillpondError: two tasks of a step would write one path.
    """
    planner = _Planner(pipeline, parameters, run, steps, environments or {})
    tasks = tuple(task for name in steps for task in planner.tasks(name, "all" in force or name in force))
    _refuse_clashes(tasks)
    return Planned(tasks, {task.name: task.static for task in tasks if task.store})


class _Planner:
    def __init__(
        self,
        pipeline: Pipeline,
        parameters: Mapping[str, Any],
        run: str,
        steps: Collection[str],
        environments: Mapping[str, StepEnvironment],
    ) -> None:
        self.environments = environments
        self.pipeline = pipeline
        self.parameters = parameters
        self.run = run
        resolve = of_run(parameters, run)
        self.fans = {name: fan_of(name, pipeline.steps[name], resolve) for name in steps}
        self.needs = needs(pipeline.steps)
        self.numbers = {
            task: number for fan in self.fans.values() if fan for number, task in enumerate(fan.tasks)
        }
        self.codes: dict[str, extension.Code] = {}
        lock = pipeline.lock
        self.lock = hashlib.sha256(lock.read_bytes()).hexdigest() if lock else ""

    def tasks(self, name: str, forced: bool) -> Iterator[StepTask]:
        """The task of a step, or one per item."""
        fan = self.fans[name]
        if fan is None:
            yield self._task(name, name, {}, forced)
        else:
            for task, item in zip(fan.tasks, fan.items, strict=True):
                yield self._task(name, task, item, forced)

    def _task(self, step_name: str, name: str, item: dict[str, Any], forced: bool) -> StepTask:
        step = self.pipeline.steps[step_name]
        resolve = of_run(self.parameters, self.run, item)
        kind = extension.find("millpond.steps", step.use)
        keys = {key: value if key in kind.raw else render(value, resolve) for key, value in step.keys.items()}
        code = self._code(kind, keys)
        arguments = render(step.arguments, resolve)
        outputs = {
            port: OutputTask(port, output.type, output.sink, render(output.keys, resolve))
            for port, output in step.outputs.items()
        }
        forks = dict(_forks(step.outputs, resolve))
        seed = self._seed(name)
        environment = self.environments.get(step_name)
        written = {**outputs, **forks}
        store = step.cache and kind.cacheable and bool(outputs)
        static = digest(
            _VERSION,
            step.use,
            keys,
            {key: render(step.keys[key], resolve) for key in kind.raw if key in step.keys},
            arguments,
            {port: [task.type, task.sink, task.keys] for port, task in written.items()},
            code.digest,
            as_plain(self.parameters) if code.uses_parameters else None,
            seed if code.uses_seed else None,
            environment.key if environment else self.lock,
        )
        return StepTask(
            name=name,
            kind=step.use,
            keys=keys,
            inputs={
                port: self._input(step_name, name, source, resolve) for port, source in step.inputs.items()
            },
            outputs=outputs,
            arguments=arguments,
            needs=tuple(
                task for other in self.needs[step_name] for task in self._tasks_of(other, step_name, name)
            ),
            retries=step.retries,
            retry_delay=step.retry_delay,
            timeout=step.timeout,
            code=code.digest,
            static=static,
            seed=seed,
            cacheable=store and not forced,
            store=store,
            when=step.when,
            conditions={
                f"{other}.{port}": self._port(step_name, name, other, port)
                for other, port in conditions_of(step)
            },
            each=item,
            forks=forks,
            environment=environment.as_dict() if environment else {},
            resources=step.resources.as_dict() if step.resources else {},
        )

    def _code(self, kind: Any, keys: dict[str, Any]) -> extension.Code:
        """The code of a step; tasks of one step mostly share it, and reading it is most of planning."""
        word = digest(kind.__qualname__, keys)
        if word not in self.codes:
            self.codes[word] = kind().code(kind.keys.model_validate(keys), self.pipeline.folder)
        return self.codes[word]

    def _tasks_of(self, other: str, step: str, task: str) -> Sequence[str]:
        """The tasks of another step that a task has to do with: all, or that of the same item."""
        theirs, mine = self.fans[other], self.fans[step]
        if theirs is None:
            return (other,)
        if mine is not None and mine.like(theirs):
            return (theirs.tasks[self.numbers[task]],)
        return theirs.tasks

    def _port(self, step: str, task: str, other: str, port: str) -> InputTask:
        tasks = self._tasks_of(other, step, task)
        single = self.fans[other] is None or self._aligned(other, step)
        return InputTask(tasks[0], port) if single else InputTask(port=port, many=tuple(tasks))

    def _aligned(self, other: str, step: str) -> bool:
        theirs, mine = self.fans[other], self.fans[step]
        return theirs is not None and mine is not None and mine.like(theirs)

    def _seed(self, step: str) -> int:
        seed = self.parameters.get("seed")
        if isinstance(seed, int) and not isinstance(seed, bool):
            return seed
        return int(digest(self.pipeline.name, step)[:8], 16)

    def _input(
        self, step: str, task: str, source: str | LakeInput, resolve: Callable[[Reference], Any]
    ) -> InputTask:
        if isinstance(source, LakeInput):
            path = LakePath.parse(str(render(source.path, resolve)))
            options = {"separator": source.separator} if source.separator != "," else None
            return InputTask(path=path.uri, type=source.type, options=options)
        if port := port_of(source):
            return self._port(step, task, *port)
        path = LakePath.parse(str(render(source, resolve)))
        return InputTask(path=path.uri, type=type_of(path.suffix))


def _forks(
    outputs: Mapping[str, Output], resolve: Callable[[Reference], Any]
) -> Iterator[tuple[str, OutputTask]]:
    for port, output in outputs.items():
        for number, fork in enumerate(output.forks):
            twin = any(other.sink == fork.sink for other in output.forks[:number])
            name = f"{port}+{fork.sink}" + (f"-{number + 1}" if twin else "")
            yield name, OutputTask(port, output.type, fork.sink, render(fork.keys, resolve))


def _refuse_clashes(tasks: Collection[StepTask]) -> None:
    """What a step writes once per item has to lie in as many places."""
    places: dict[str, str] = {}
    for task in tasks:
        for name, port in task.written.items():
            if isinstance(path := port.keys.get("path"), str):
                other = places.setdefault(f"{port.sink} {path}", f"{task.name}.{name}")
                if other != f"{task.name}.{name}":
                    raise MillpondError(
                        f"{other} and {task.name}.{name} both write {path}",
                        hint="put ${each.NAME}, or whatever makes them differ, into the path",
                    )


def summary_of(tasks: Collection[StepTask]) -> dict[str, dict[str, Any]]:
    """Kind and needs of some tasks, for those who watch."""
    return {task.name: {"kind": task.kind, "needs": list(task.needs)} for task in tasks}
