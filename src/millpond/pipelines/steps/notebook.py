"""A step that executes a notebook with papermill; the executed copy is kept.

Values under ``with`` and small inputs are the notebook's parameters; large inputs are paths of local files.
A notebook gives its outputs by writing files, to the paths in the parameter ``outputs``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.process import execute
from millpond.pipelines.steps.files import digest_of_files, input_files, output_files, variables, written

_ADDED = {"injected-parameters", "papermill-error-cell-tag"}
EXECUTED = "notebook"
"""The output port that takes the executed copy."""


class NotebookKeys(Keys):
    """``notebook``: a file beside the pipeline; its kernel; further files that count as code."""

    notebook: str = Field(description="The notebook, beside the pipeline")
    kernel: str = Field(default="python3", description="The name of its kernel, in the step's environment")
    language: str = Field(default="python", description="The language of its cells")
    files: list[str] = Field(default=[], description="Patterns of files beside it that count as its code")


class NotebookStep(StepKind):
    """Executes a notebook. Its executed copy is in the run's folder, and is the output ``notebook``."""

    keys = NotebookKeys
    packages = ("papermill", "ipykernel")

    def check(self, step: Step, keys: NotebookKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """The file is a notebook, and its names do not clash."""
        file = folder / keys.notebook
        if not file.is_file():
            yield Problem(("notebook",), f"there is no file {keys.notebook} beside the pipeline")
            return
        try:
            _cells(file)
        except (ValueError, KeyError, TypeError):
            yield Problem(("notebook",), f"{keys.notebook} is no notebook of format 4")
        for section, names in (("inputs", step.inputs), ("with", step.arguments)):
            if "outputs" in names:
                yield Problem((section, "outputs"), "the parameter outputs has the paths of the outputs")
        if EXECUTED in step.outputs and step.outputs[EXECUTED].type != "file":
            yield Problem(("outputs", EXECUTED), "the executed copy is a file", "write type: file")

    def code(self, keys: NotebookKeys, folder: Path) -> Code:
        """The sources of the cells; results that lie in the file do not count."""
        found = hashlib.sha256(digest_of_files(folder, [], keys.files).encode())
        for kind, source in _cells(folder / keys.notebook):
            if kind == "code":
                found.update(f"\0{source}".encode())
        return Code(found.hexdigest())

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Execute every cell.

        Raises:
            MillpondError: a cell raised (its number and error are told), or an output is not written.
        """
        keys: NotebookKeys = call.keys
        files, outputs = input_files(call), output_files(call)
        executed = call.context.folder / Path(keys.notebook).name
        wanted = {port: path for port, path in outputs.items() if port != EXECUTED}
        values = {
            port: call.decode(port)
            if reference.by_value and reference.type in ("json", "text", "number")
            else None
            for port, reference in call.inputs.items()
        }
        given = {port: str(files[port]) if value is None else value for port, value in values.items()}
        parameters = {
            **given,
            **call.arguments,
            "outputs": {port: str(path) for port, path in wanted.items()},
        }
        listed = call.context.folder / "parameters.json"
        listed.write_text(json.dumps(parameters, default=str), encoding="utf-8")
        # YAML reads JSON. The kernel's own files stay in the step's folder.
        argv = [
            sys.executable,
            "-m",
            "papermill",
            keys.notebook,
            str(executed),
            "--parameters_file",
            str(listed),
        ]
        argv += [
            "--kernel",
            keys.kernel,
            "--language",
            keys.language,
            "--cwd",
            str(call.code),
            "--log-output",
            "--no-progress-bar",
        ]
        argv += ["--log-level", "WARNING"]
        environment = variables(call, files, wanted)
        environment |= {
            "IPYTHONDIR": str(call.context.folder / ".ipython"),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        environment["PYTHONPATH"] = os.pathsep.join(
            word for word in (str(call.code), environment.get("PYTHONPATH", "")) if word
        )
        try:
            execute(argv, call.code, environment, "notebook")
        except MillpondError as error:
            raise _explained(keys.notebook, executed) or error from None
        finally:
            if executed.is_file() and call.record is not None:
                shutil.copyfile(executed, call.record / f"{call.context.step}.ipynb")
        found = dict(written("notebook", wanted))
        if EXECUTED in outputs:
            found[EXECUTED] = executed
        return found


def _cells(file: Path) -> list[tuple[str, str]]:
    """Kind and source of each cell."""
    data = json.loads(file.read_bytes())
    if data["nbformat"] != 4:
        raise ValueError("not of format 4")
    found = []
    for cell in data["cells"]:
        source = cell["source"]
        found.append((str(cell["cell_type"]), source if isinstance(source, str) else "".join(source)))
    return found


def _explained(name: str, executed: Path) -> MillpondError | None:
    """What the cell that failed says, from the executed copy."""
    if not executed.is_file():
        return None
    cells = json.loads(executed.read_bytes())["cells"]
    # Papermill adds cells of its own, which nobody would count.
    own = [cell for cell in cells if not _ADDED & set(cell.get("metadata", {}).get("tags", ()))]
    for number, cell in enumerate(own, 1):
        for output in cell.get("outputs", ()):
            if output.get("output_type") == "error":
                source = cell["source"]
                lines = (source if isinstance(source, str) else "".join(source)).strip().splitlines()
                return MillpondError(
                    f"cell {number} of {name} raised {output['ename']}: {output['evalue']}",
                    hint="the executed copy beside the step's log shows all of it",
                    details=lines[-5:],
                )
    return None
