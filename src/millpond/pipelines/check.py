"""Everything in a pipeline file that can be wrong and be seen without running it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from millpond.lake.reference import LakePath
from millpond.model.document import Document, Path, parse
from millpond.model.errors import DocumentError, DocumentErrors, MillpondError, did_you_mean
from millpond.model.expression import ExpressionError
from millpond.model.expression import parse as parse_expression
from millpond.pipelines import extension
from millpond.pipelines.document import STEP, WORD, LakeInput, Output, Pipeline, Step
from millpond.pipelines.graph import cycle, needs, port_of
from millpond.pipelines.template import DATE_PARTS

_RESERVED = ("parameters", "run", "inputs", "outputs")


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
        if ring := cycle(self._known_needs()):
            at: Path = ("steps", ring[0])
            yield self._at_key(at, f"the steps need each other in a ring: {' -> '.join(ring)}")
        for label, text in self.pipeline.results.items():
            yield from self._port(("results", label), text)

    def _known_needs(self) -> dict[str, list[str]]:
        steps = self.pipeline.steps
        return {name: [other for other in wanted if other in steps] for name, wanted in needs(steps).items()}

    def _at_key(self, path: Path, message: str, hint: str | None = None) -> DocumentError:
        return DocumentError(self.document.key_place(path), message, hint=hint)

    def _step(self, name: str, step: Step) -> Iterator[DocumentError]:
        at: Path = ("steps", name)
        if not STEP.fullmatch(name) or name in _RESERVED:
            yield self._at_key(at, f"{name} cannot be the name of a step", "use letters, digits and hyphens")
        for index, other in enumerate(step.after):
            if other not in self.pipeline.steps:
                hint = did_you_mean(other, self.pipeline.steps)
                yield self.document.error((*at, "after", index), f"there is no step {other}", hint=hint)
        for port, source in step.inputs.items():
            yield from self._input((*at, "inputs", port), port, source)
        for port, output in step.outputs.items():
            yield from self._output((*at, "outputs", port), name, port, output)
        for key, value in step.arguments.items():
            yield from self._values((*at, "with", key), value)
            if key in step.inputs:
                yield self._at_key((*at, "with", key), f"{key} is an input as well")
        yield from self._kind(at, step)

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
            yield from self._values((*at, key), value, step if key in kind.raw else None)
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

    def _input(self, at: Path, port: str, source: str | LakeInput) -> Iterator[DocumentError]:
        if not WORD.fullmatch(port):
            yield self._at_key(at, f"{port} cannot be the name of an input", "use letters, digits and _")
        if isinstance(source, LakeInput):
            yield from self._path((*at, "path"), source.path)
        elif port_of(source):
            yield from self._port(at, source)
        elif source.strip().startswith("${") and "/" not in source and "parameters" not in source:
            hint = "an input is ${step.port}, or a path of the lake such as raw/flights.csv"
            yield self.document.error(at, f"{source} is neither a port nor a path", hint=hint)
        else:
            yield from self._path(at, source)

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

    def _output(self, at: Path, step: str, port: str, output: Output) -> Iterator[DocumentError]:
        if not WORD.fullmatch(port):
            yield self._at_key(at, f"{port} cannot be the name of an output", "use letters, digits and _")
        if not self.strict and not extension.installed("millpond.sinks", output.sink):
            return
        try:
            sink = extension.find("millpond.sinks", output.sink)
        except MillpondError as error:
            yield self.document.error((*at, "sink"), error.message, hint=error.hint)
            return
        keys, wrong = self._keys(sink.keys, output.keys, at, Output)
        yield from wrong
        for key, value in output.keys.items():
            if key != "path":
                yield from self._values((*at, key), value)
        path = output.keys.get("path")
        if isinstance(path, str):
            yield from self._path((*at, "path"), path)
            other = self.paths.setdefault(f"{output.sink} {path}", f"{step}.{port}")
            if other != f"{step}.{port}":
                yield self.document.error((*at, "path"), f"{other} writes {path} as well")
        if keys is not None:
            for problem in sink().check(output.type, keys):
                yield self.document.error((*at, *problem.at), problem.message, hint=problem.hint)

    def _path(self, at: Path, text: str) -> Iterator[DocumentError]:
        wrong = list(self._values(at, text))
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

    def _values(self, at: Path, value: Any, step: Step | None = None) -> Iterator[DocumentError]:
        """Wrong expressions in a value; with a step, the names of its ports may stand in them too."""
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._values((*at, index), item, step)
        elif isinstance(value, dict):
            for key, item in value.items():
                yield from self._values((*at, key), item, step)
        elif isinstance(value, str):
            try:
                references = parse_expression(value).references
            except ExpressionError as error:
                yield self.document.error(at, str(error))
                return
            for reference in references:
                if wrong := self._reference(reference.path, step):
                    yield self.document.error(at, f"{reference}: {wrong[0]}", hint=wrong[1])

    def _reference(self, path: tuple[str, ...], step: Step | None) -> tuple[str, str | None] | None:
        root, rest = path[0], path[1:]
        if path == ("run", "id"):
            return None
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
