"""A step that runs a program: its inputs are local files, its outputs the files that it writes."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.model.expression import Reference as Expression
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.process import execute
from millpond.pipelines.steps.files import digest_of_files, input_files, output_files, variables, written


class CommandKeys(Keys):
    """``run``: a list of arguments, or one text for the shell; ``files`` beside it that count as code."""

    run: list[str | int | float] | str = Field(
        description="Program and arguments, or a text for `sh -c`; `${inputs.x}`, `${outputs.y}` are files"
    )
    files: list[str] = Field(default=[], description="Patterns of files beside it that count as its code")


class CommandStep(StepKind):
    """Runs a program in the pipeline's folder; what it prints is the step's log."""

    keys = CommandKeys
    raw = frozenset({"run"})

    def check(self, step: Step, keys: CommandKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """A command of no words does nothing."""
        if not keys.run:
            yield Problem(("run",), "the command is empty")
        if step.arguments:
            yield Problem(("with",), "a command takes no values under with", "put them into run")

    def code(self, keys: CommandKeys, folder: Path) -> Code:
        """Files of the pipeline's folder that the command names, and those under ``files``."""
        words = [str(word) for word in keys.run] if isinstance(keys.run, list) else keys.run.split()
        named = [word for word in words if "${" not in word and not word.startswith(("/", "-", "."))]
        return Code(digest_of_files(folder, named, keys.files))

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Run the program to its end.

        Raises:
            MillpondError: it cannot be started, its exit code is not 0, or an output is not written.
        """
        inputs, outputs = input_files(call), output_files(call)

        def names(reference: Expression) -> Any:
            return {"inputs": inputs, "outputs": outputs}[reference.path[0]][reference.path[1]]

        if isinstance(call.keys.run, str):
            argv = ["/bin/sh", "-c", call.render(call.keys.run, names, shlex.quote)]
        else:
            argv = [str(call.render(word, names)) for word in call.keys.run]
        execute(argv, call.code, variables(call, inputs, outputs))
        return written("command", outputs)
