"""What kinds that run programs share: the files of their ports, the environment, and what counts as code."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.pipelines.extension import StepCall


def input_files(call: StepCall) -> dict[str, Path]:
    """A local file for every input."""
    return {port: call.local(port) for port in call.inputs}


def output_files(call: StepCall) -> dict[str, Path]:
    """Where the program is to write each output; the name ends like that of the port's path."""
    found = {}
    for port, task in call.outputs.items():
        name = str(task.keys.get("path") or "").rsplit("/", 1)[-1]
        found[port] = call.context.folder / (f"out-{port}-{name}" if name else f"out-{port}")
    return found


def variables(call: StepCall, inputs: Mapping[str, Path], outputs: Mapping[str, Path]) -> dict[str, str]:
    """The environment of the program: the step's, with the places of its ports."""
    return {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "MILLPOND_RUN": call.context.run_id,
        "MILLPOND_STEP": call.context.step,
        **{f"MILLPOND_INPUT_{port.upper()}": str(path) for port, path in inputs.items()},
        **{f"MILLPOND_OUTPUT_{port.upper()}": str(path) for port, path in outputs.items()},
    }


def written(what: str, outputs: dict[str, Path]) -> dict[str, Path]:
    """The outputs, once all are there.

    Raises:
        MillpondError: one is not.
    """
    for port, path in outputs.items():
        if not path.is_file():
            raise MillpondError(
                f"the {what} ended well but wrote no output {port}",
                hint=f"write it to ${{outputs.{port}}}, or to the path in MILLPOND_OUTPUT_{port.upper()}",
            )
    return outputs


def digest_of_files(folder: Path, names: Iterable[str], patterns: Iterable[str]) -> str:
    """The digest of some files of the pipeline's folder, by name and by pattern."""
    found = hashlib.sha256()
    files = [folder / name for name in names]
    files += [file for pattern in patterns for file in sorted(folder.glob(pattern))]
    for file in files:
        if file.is_file():
            found.update(f"\0{file.relative_to(folder).as_posix()}\0".encode())
            found.update(file.read_bytes())
    return found.hexdigest()
