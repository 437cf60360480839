"""A step that runs an R script with Rscript: files come and go as for a command, values as arguments."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.process import execute
from millpond.pipelines.steps.files import digest_of_files, input_files, output_files, variables, written


class RKeys(Keys):
    """``script``: a file beside the pipeline, and further files that count as code."""

    script: str = Field(description="The script, beside the pipeline")
    files: list[str] = Field(default=[], description="Patterns of files beside it that count as its code")


class RStep(StepKind):
    """Runs a script with the R of the worker's machine.

    ``Sys.getenv("MILLPOND_INPUT_X")`` is the file of the input ``x``, ``MILLPOND_OUTPUT_Y`` where the output
    ``y`` is to be written; ``commandArgs(trailingOnly = TRUE)`` has ``name=value`` for each value under
    ``with``.
    """

    keys = RKeys

    def check(self, step: Step, keys: RKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """The script is there."""
        if not (folder / keys.script).is_file():
            yield Problem(("script",), f"there is no file {keys.script} beside the pipeline")

    def code(self, keys: RKeys, folder: Path) -> Code:
        """The script, and the files that count."""
        return Code(digest_of_files(folder, [keys.script], keys.files))

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Run the script to its end.

        Raises:
            MillpondError: there is no R, the script fails, or an output is not written.
        """
        program = shutil.which("Rscript")
        if program is None:
            raise MillpondError(
                "Rscript is not on the PATH of this machine",
                hint="install R, such as r-base-core of Debian or r from Homebrew",
            )
        inputs, outputs = input_files(call), output_files(call)
        values = [f"{name}={_text(value)}" for name, value in call.arguments.items()]
        argv = [program, "--vanilla", call.keys.script, *values]
        execute(argv, call.code, variables(call, inputs, outputs), "script")
        return written("script", outputs)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
