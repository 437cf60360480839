"""Everything in a pipeline file that can be wrong and be seen without running it."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from millpond.lake.reference import LakePath
from millpond.model.document import Document, Path, parse
from millpond.model.errors import DocumentError, DocumentErrors, MillpondError, did_you_mean
from millpond.model.expression import ExpressionError
from millpond.model.expression import parse as parse_expression
from millpond.pipelines import extension
from millpond.pipelines.clock import wrong_cron
from millpond.pipelines.condition import Condition
from millpond.pipelines.document import (
    STEP,
    WORD,
    Dates,
    Fork,
    LakeInput,
    Objects,
    Output,
    Pipeline,
    Step,
)
from millpond.pipelines.environments import NEEDED
from millpond.pipelines.graph import ROOTS, cycle, needs, port_of
from millpond.pipelines.template import DATE_PARTS

Each = Mapping[str, Any]
_NONE: Each = {}
_OF_RUN = re.compile(r"\$\{(?:parameters|each)\.")


def check(pipeline: Pipeline, *, strict: bool) -> None:
    """Refuse a pipeline that cannot run.

    Raises:
        DocumentError: one mistake; DocumentErrors: several, in the order of the file.
    """
    found = list(_Check(pipeline, strict).errors())
    found.sort(key=lambda error: error.place)
    if found:
        raise found[0] if len(found) == 1 else DocumentErrors(found)


class _Check:
    def __init__(self, pipeline: Pipeline, strict: bool) -> None:
        self.pipeline = pipeline
        self.document: Document = pipeline.document
        self.strict = strict
        self.paths: dict[str, str] = {}

    def errors(self) -> Iterator[DocumentError]:
        for name in self.pipeline.parameters:
            if not WORD.fullmatch(name):
                yield self._at_key(("parameters", name), f"{name} cannot be the name of a parameter")
        if self.pipeline.lock is not None and not self.pipeline.lock.is_file():
            yield self.document.error(
                ("environment",), f"there is no file {self.pipeline.environment} beside the pipeline"
            )
        for name, step in self.pipeline.steps.items():
            yield from self._step(name, step)
        yield from self._starts()
        if ring := cycle(self._known_needs()):
            at: Path = ("steps", ring[0])
            yield self._at_key(at, f"the steps need each other in a ring: {' -> '.join(ring)}")
        for label, text in self.pipeline.results.items():
            yield from self._port(("results", label), text)

    def _starts(self) -> Iterator[DocumentError]:
        """What starts runs by itself: the schedule and the triggers."""
        pipeline = self.pipeline
        if pipeline.schedule is not None:
            at: Path = ("schedule",)
            if wrong := wrong_cron(pipeline.schedule.cron):
                yield self.document.error(
                    (*at, "cron"), wrong, hint="such as 0 6 * * 1-5, at six on working days"
                )
            zones = zoneinfo.available_timezones()
            if zones and pipeline.schedule.timezone not in zones:
                hint = did_you_mean(pipeline.schedule.timezone, zones)
                yield self.document.error((*at, "timezone"), "there is no such time zone", hint=hint)
            for name in pipeline.schedule.parameters:
                if name not in pipeline.parameters:
                    hint = did_you_mean(name, pipeline.parameters)
                    yield self._at_key((*at, "parameters", name), f"there is no parameter {name}", hint)
        for index, trigger in enumerate(pipeline.triggers):
            if trigger.parameter is not None and trigger.parameter not in pipeline.parameters:
                hint = did_you_mean(trigger.parameter, pipeline.parameters)
                message = f"there is no parameter {trigger.parameter}"
                yield self.document.error(("triggers", index, "parameter"), message, hint=hint)

    def _known_needs(self) -> dict[str, list[str]]:
        steps = self.pipeline.steps
        return {name: [other for other in wanted if other in steps] for name, wanted in needs(steps).items()}

    def _at_key(self, path: Path, message: str, hint: str | None = None) -> DocumentError:
        return DocumentError(self.document.key_place(path), message, hint=hint)

    def _step(self, name: str, step: Step) -> Iterator[DocumentError]:
        at: Path = ("steps", name)
        if not STEP.fullmatch(name) or name in ROOTS:
            yield self._at_key(at, f"{name} cannot be the name of a step", "use letters, digits and hyphens")
        for index, other in enumerate(step.after):
            if other not in self.pipeline.steps:
                hint = did_you_mean(other, self.pipeline.steps)
                yield self.document.error((*at, "after", index), f"there is no step {other}", hint=hint)
        yield from self._environment(at, step)
        yield from self._each(at, step)
        yield from self._when(at, step)
        for port, source in step.inputs.items():
            yield from self._input((*at, "inputs", port), port, source, step.each)
        for port, output in step.outputs.items():
            here: Path = (*at, "outputs", port)
            if not WORD.fullmatch(port):
                hint = "use letters, digits and _"
                yield self._at_key(here, f"{port} cannot be the name of an output", hint)
            yield from self._output(here, f"{name}.{port}", output.type, output)
            for index, fork in enumerate(output.forks):
                yield from self._output((*here, "forks", index), f"{name}.{port}", output.type, fork)
        for key, value in step.arguments.items():
            yield from self._values((*at, "with", key), value, each=step.each)
            if key in step.inputs:
                yield self._at_key((*at, "with", key), f"{key} is an input as well")
        yield from self._kind(at, step)

    def _environment(self, at: Path, step: Step) -> Iterator[DocumentError]:
        here: Path = (*at, "environment")
        if isinstance(step.environment, list):
            for index, line in enumerate(step.environment):
                if line.startswith("-") or "://" in line or not line.strip():
                    hint = "name released packages, such as httpx==0.28.1"
                    yield self.document.error((*here, index), f"{line!r} names no package", hint=hint)
        elif step.environment is not None:
            file = self.pipeline.folder / step.environment
            if not file.is_file():
                yield self.document.error(here, f"there is no file {step.environment} beside the pipeline")
                return
            text = file.read_text(encoding="utf-8").lower()
            missing = [name for name in NEEDED if not re.search(rf"^{name}\b", text, re.MULTILINE)]
            if "--hash=" in text and missing:
                message = f"{step.environment} lacks {', '.join(missing)}, which every step needs"
                yield self.document.error(here, message, hint="add them and lock it again")

    def _each(self, at: Path, step: Step) -> Iterator[DocumentError]:
        for name, source in step.each.items():
            here: Path = (*at, "each", name)
            if not WORD.fullmatch(name):
                yield self._at_key(here, f"{name} cannot be the name of an item", "use letters, digits and _")
            if isinstance(source, Objects):
                yield from self._values((*here, "objects"), source.objects)
            elif isinstance(source, Dates):
                yield from self._values((*here, "from"), str(source.first))
                yield from self._values((*here, "to"), str(source.last))
            elif isinstance(source, list):
                yield from self._values(here, source)
            else:
                yield from self._list(here, source)

    def _list(self, at: Path, source: str) -> Iterator[DocumentError]:
        """A text under ``each`` names a parameter that is a list."""
        wrong = list(self._values(at, source))
        yield from wrong
        references = () if wrong else parse_expression(source).references
        path = references[0].path if len(references) == 1 and str(references[0]) == source.strip() else ()
        parameter = self.pipeline.parameters.get(path[1]) if path[:1] == ("parameters",) else None
        if not wrong and (parameter is None or parameter.type != "list"):
            hint = "write a list, from and to, objects, or ${parameters.NAME} of type list"
            yield self.document.error(at, f"{source} is no list", hint=hint)

    def _when(self, at: Path, step: Step) -> Iterator[DocumentError]:
        if step.when is None:
            return
        here: Path = (*at, "when")
        try:
            condition = Condition.read(step.when)
        except ValueError as error:
            hint = "such as ${parameters.deploy}, or ${train.mae} < 20 and not ${parameters.dry}"
            yield self.document.error(here, str(error), hint=hint)
            return
        for reference in condition.references:
            if reference.path[0] in ROOTS:
                if wrong := self._reference(reference.path, None, step.each):
                    yield self.document.error(here, f"{reference}: {wrong[0]}", hint=wrong[1])
                continue
            found = list(self._port(here, "${" + ".".join(reference.path[:2]) + "}"))
            yield from found
            if not found:
                yield from self._small(here, *reference.path[:2])

    def _small(self, at: Path, name: str, port: str) -> Iterator[DocumentError]:
        output = self.pipeline.steps[name].outputs[port]
        if output.type not in ("json", "number", "text"):
            message = f"{name}.{port} is a {output.type}, which no condition can look at"
            yield self.document.error(at, message, hint="let the step give a number, a text or JSON as well")

    def _kind(self, at: Path, step: Step) -> Iterator[DocumentError]:
        if not self.strict and not extension.installed("millpond.steps", step.use):
            return
        try:
            kind = extension.find("millpond.steps", step.use)
        except MillpondError as error:
            yield self.document.error((*at, "use"), error.message, hint=error.hint)
            return
        keys, wrong = self._keys(kind.keys, step.keys, at, Step)
        yield from wrong
        for key, value in step.keys.items():
            yield from self._values((*at, key), value, step if key in kind.raw else None, step.each)
        if keys is not None:
            for problem in kind().check(step, keys, self.pipeline.folder, self.strict):
                yield self.document.error((*at, *problem.at), problem.message, hint=problem.hint)

    def _keys(
        self, model: type[BaseModel], given: dict[str, Any], at: Path, around: type[BaseModel]
    ) -> tuple[Any, list[DocumentError]]:
        """The extension's own keys, checked; a word that it does not know may be one of ours, misspelt."""
        own = [info.alias or name for name, info in model.model_fields.items()]
        known = [*own, *(info.alias or name for name, info in around.model_fields.items())]
        wrong = [
            self._at_key((*at, key), f"unknown key {key}", did_you_mean(key, known))
            for key in given
            if key not in own
        ]
        try:
            fitting = {key: value for key, value in given.items() if key in own}
            return parse(model, self.document, data=fitting, at=at), wrong
        except DocumentErrors as errors:
            return None, [*wrong, *errors.errors]
        except DocumentError as error:
            return None, [*wrong, error]

    def _input(self, at: Path, port: str, source: str | LakeInput, each: Each) -> Iterator[DocumentError]:
        if not WORD.fullmatch(port):
            yield self._at_key(at, f"{port} cannot be the name of an input", "use letters, digits and _")
        if isinstance(source, LakeInput):
            yield from self._path((*at, "path"), source.path, each)
        elif port_of(source):
            yield from self._port(at, source)
        elif source.strip().startswith("${") and "/" not in source and not _OF_RUN.search(source):
            hint = "an input is ${step.port}, or a path of the lake such as raw/flights.csv"
            yield self.document.error(at, f"{source} is neither a port nor a path", hint=hint)
        else:
            yield from self._path(at, source, each)

    def _port(self, at: Path, text: str) -> Iterator[DocumentError]:
        found = port_of(text)
        if found is None:
            yield self.document.error(at, f"{text} is not a port", hint="write ${step.port}")
            return
        name, port = found
        if name not in self.pipeline.steps:
            hint = did_you_mean(name, self.pipeline.steps)
            yield self.document.error(at, f"{text}: there is no step {name}", hint=hint)
            return
        outputs = self.pipeline.steps[name].outputs
        if port not in outputs:
            hint = did_you_mean(port, outputs) or f"{name} has no outputs"
            yield self.document.error(at, f"{text}: {name} has no output {port}", hint=hint)

    def _output(self, at: Path, name: str, port_type: str, output: Output | Fork) -> Iterator[DocumentError]:
        """One place that a value goes to; ``name`` is ``step.port``."""
        step = self.pipeline.steps[name.partition(".")[0]]
        if not self.strict and not extension.installed("millpond.sinks", output.sink):
            return
        try:
            sink = extension.find("millpond.sinks", output.sink)
        except MillpondError as error:
            yield self.document.error((*at, "sink"), error.message, hint=error.hint)
            return
        keys, wrong = self._keys(sink.keys, output.keys, at, type(output))
        yield from wrong
        for key, value in output.keys.items():
            if key != "path":
                yield from self._values((*at, key), value, each=step.each)
        path = output.keys.get("path")
        if isinstance(path, str):
            yield from self._path((*at, "path"), path, step.each)
            other = self.paths.setdefault(f"{output.sink} {path}", ".".join(map(str, at[1:])))
            if other != ".".join(map(str, at[1:])):
                writer = other.replace(".outputs.", ".")
                yield self.document.error((*at, "path"), f"{writer} writes {path} as well")
            if step.each and "${each." not in path:
                message = "every item would write the same path"
                hint = f"put ${{each.{next(iter(step.each))}}} into it"
                yield self.document.error((*at, "path"), message, hint=hint)
        if keys is not None:
            for problem in sink().check(port_type, keys):
                yield self.document.error((*at, *problem.at), problem.message, hint=problem.hint)

    def _path(self, at: Path, text: str, each: Each = _NONE) -> Iterator[DocumentError]:
        wrong = list(self._values(at, text, each=each))
        yield from wrong
        if not wrong:
            plain = parse_expression(text)
            sample = "".join(part if isinstance(part, str) else "x" for part in plain.parts)
            if len(plain.parts) == 1 and plain.references:
                return
            try:
                LakePath.parse(sample)
            except MillpondError as error:
                message = error.message.replace(sample, text)
                yield self.document.error(at, message, hint=error.hint)

    def _values(
        self, at: Path, value: Any, step: Step | None = None, each: Each = _NONE
    ) -> Iterator[DocumentError]:
        """Wrong expressions in a value; with a step, the names of its ports may stand in them too."""
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._values((*at, index), item, step, each)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._values((*at, key), item, step, each)
        elif isinstance(value, str):
            try:
                references = parse_expression(value).references
            except ExpressionError as error:
                yield self.document.error(at, str(error))
                return
            for reference in references:
                if wrong := self._reference(reference.path, step, each):
                    yield self.document.error(at, f"{reference}: {wrong[0]}", hint=wrong[1])

    def _reference(
        self, path: tuple[str, ...], step: Step | None, each: Each = _NONE
    ) -> tuple[str, str | None] | None:
        root, rest = path[0], path[1:]
        if path == ("run", "id"):
            return None
        if root == "each" and len(rest) == 1:
            if rest[0] in each:
                return None
            return f"the step has no each.{rest[0]}", did_you_mean(
                rest[0], each
            ) or "each: names what there is"
        if root == "parameters" and rest:
            parameters = self.pipeline.parameters
            if rest[0] not in parameters:
                hint = did_you_mean(rest[0], parameters) or "the pipeline has no parameters"
                return f"there is no parameter {rest[0]}", hint
            if len(rest) == 1:
                return None
            if parameters[rest[0]].type == "date" and len(rest) == 2 and rest[1] in DATE_PARTS:
                return None
            return f"the parameter {rest[0]} has no part {rest[1]}", "a date has year, month and day"
        if step is not None and root in ("inputs", "outputs") and len(rest) == 1:
            ports = step.inputs if root == "inputs" else step.outputs
            if rest[0] in ports:
                return None
            return f"the step has no {root[:-1]} {rest[0]}", did_you_mean(rest[0], ports)
        if root in self.pipeline.steps:
            return "the port of another step cannot stand here", "name it under inputs"
        return f"{root} is not known here", did_you_mean(root, ["parameters", "run.id"])
