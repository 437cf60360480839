"""A step that calls a Python function of the pipeline's folder, or of an installed package."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from millpond.model.errors import MillpondError, did_you_mean
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.source import Sources

_CONTEXT = "StepContext"


class PythonKeys(Keys):
    """``call: module:function``, and ``files`` beside the code that count as code."""

    call: str = Field(description="`module:function`, of the pipeline's folder or an installed package")
    files: list[str] = Field(default=[], description="Patterns of files beside it that count as its code")

    @field_validator("call")
    @classmethod
    def _two_names(cls, value: str) -> str:
        module, colon, function = value.partition(":")
        if not colon or not function.isidentifier() or not all(p.isidentifier() for p in module.split(".")):
            raise ValueError(f"must be module:function, not {value}")
        return value

    @property
    def module(self) -> str:
        """The module's dotted name."""
        return self.call.partition(":")[0]

    @property
    def function(self) -> str:
        """The function's name in it."""
        return self.call.partition(":")[2]


class PythonStep(StepKind):
    """Calls a function with the inputs' values and the ``with`` values by name."""

    keys = PythonKeys
    given: ClassVar[tuple[str, ...]] = ()

    def check(self, step: Step, keys: PythonKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """The module, the function and its arguments, as far as text can tell."""
        try:
            module = Sources(folder).module(keys.module)
        except SyntaxError as error:
            where = f"{Path(error.filename or '').name}:{error.lineno}"
            yield Problem(("call",), f"{where}: {error.msg}")
            return
        if module is None:
            yield from self._installed(step, keys, folder, strict)
            return
        function = module.function(keys.function)
        if function is not None:
            yield from _arguments(step, keys, function, self.given)
        elif keys.function not in module.definitions:
            functions = [name for name in module.definitions if module.function(name)]
            yield Problem(
                ("call",),
                f"{module.file.name} has no function {keys.function}",
                did_you_mean(keys.function, functions),
            )

    def _installed(self, step: Step, keys: PythonKeys, folder: Path, strict: bool) -> Iterator[Problem]:
        top = keys.module.partition(".")[0]
        local = sorted(file.stem for file in folder.glob("*.py"))
        if strict and step.environment is None and importlib.util.find_spec(top) is None:
            hint = did_you_mean(top, local)
            yield Problem(
                ("call",), f"there is no module {top}, neither beside the pipeline nor installed", hint
            )

    def code(self, keys: PythonKeys, folder: Path) -> Code:
        """The digest of the code that the function reaches, and of the files that count as code."""
        reach = Sources(folder).reach(keys.module, keys.function)
        found = hashlib.sha256(reach.digest.encode())
        if not reach.items:
            found.update(_installed_version(keys.module).encode())
        for pattern in keys.files:
            for file in sorted(folder.glob(pattern)):
                if file.is_file():
                    found.update(f"\0{file.relative_to(folder).as_posix()}\0".encode())
                    found.update(file.read_bytes())
        return Code(found.hexdigest(), "parameters" in reach.attributes, "seed" in reach.attributes)

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Import, call, and sort the return value into the ports."""
        return call_function(load(call.keys, call.code), call)


def call_function(function: Any, call: StepCall, **given: Any) -> Mapping[str, Any]:
    """Call with the inputs' values, those under ``with``, and `given`; sort the result into ports."""
    return _ports(call, function(**{**_values(function, call, given), **given}))


def _arguments(
    step: Step, keys: PythonKeys, function: ast.FunctionDef, given: tuple[str, ...]
) -> Iterator[Problem]:
    spec = function.args
    plain = [*spec.posonlyargs, *spec.args]
    optional = {argument.arg for argument in plain[len(plain) - len(spec.defaults) :]}
    optional |= {a.arg for a, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if default}
    every = [*plain, *spec.kwonlyargs]
    context = {a.arg for a in every if a.annotation is not None and _CONTEXT in ast.dump(a.annotation)}
    names = [argument.arg for argument in every if argument.arg not in context and argument.arg not in given]
    for section, named in (("inputs", step.inputs), ("with", step.arguments)):
        for name in named:
            if name not in names and spec.kwarg is None:
                hint = did_you_mean(name, names) or f"{keys.function}() takes none"
                yield Problem((section, name), f"{keys.function}() has no argument {name}", hint)
    missing = [n for n in names if n not in optional and n not in step.inputs and n not in step.arguments]
    for name in missing:
        yield Problem(("call",), f"{keys.function}() needs {name}", "name it under inputs or under with")


def _installed_version(module: str) -> str:
    top = module.partition(".")[0]
    try:
        return f"{top} {importlib.metadata.version(top)}"
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(top)
        file = Path(spec.origin) if spec and spec.origin else None
        return hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else top


def load(keys: PythonKeys, code: Path) -> Any:
    """The function, from the unpacked folder of the pipeline or an installed package."""
    known = sys.modules.get(keys.module)
    file = getattr(known, "__file__", None) or ""
    # Only what comes from this very bundle is taken without a look.
    module = known if file.startswith(f"{code}{os.sep}") else _import(keys, code)
    try:
        return getattr(module, keys.function)
    except AttributeError:
        hint = did_you_mean(keys.function, [name for name in vars(module) if not name.startswith("_")])
        raise MillpondError(f"{keys.module} has no function {keys.function}", hint=hint) from None


def _import(keys: PythonKeys, code: Path) -> Any:
    module = importlib.import_module(keys.module)
    beside = Sources(code).module(keys.module) is not None
    file = getattr(module, "__file__", None)
    if beside and (file is None or code.resolve() not in Path(file).resolve().parents):
        raise MillpondError(
            f"the pipeline's module {keys.module} is hidden by {file or 'a built-in module'}",
            hint="give it another name",
        )
    return module


def _values(function: Any, call: StepCall, given: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    parameters = inspect.signature(function).parameters
    for name, parameter in parameters.items():
        if _annotated(parameter, _CONTEXT):
            values[name] = call.context
    for port, reference in call.inputs.items():
        if port in given:
            continue
        wanted = parameters.get(port)
        as_reference = wanted is not None and _annotated(wanted, "Reference")
        values[port] = reference if as_reference else call.decode(port)
    return {**values, **call.arguments}


def _annotated(parameter: inspect.Parameter, name: str) -> bool:
    annotation = parameter.annotation
    if isinstance(annotation, str):
        return annotation.split(".")[-1].strip() == name
    return getattr(annotation, "__name__", None) == name


def _ports(call: StepCall, result: Any) -> Mapping[str, Any]:
    ports = list(call.outputs)
    if len(ports) == 1:
        return {ports[0]: result}
    if not ports:
        return {}
    if not isinstance(result, Mapping):
        raise MillpondError(
            f"{call.keys.call} returned {type(result).__name__}, not a dict of its {len(ports)} outputs",
            hint=f"return {{{', '.join(f'{port!r}: …' for port in ports)}}}",
        )
    for name in result:
        if name not in ports:
            raise MillpondError(
                f"{call.keys.call} returned {name!r}, which is no output", hint=did_you_mean(str(name), ports)
            )
    if missing := [port for port in ports if port not in result]:
        raise MillpondError(f"{call.keys.call} returned nothing for {', '.join(missing)}")
    return result
