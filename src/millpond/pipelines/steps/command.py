"""A step that runs a program: its inputs are local files, its outputs the files that it writes."""

from __future__ import annotations

import codecs
import hashlib
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.model.expression import Reference as Expression
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind


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
        found = hashlib.sha256()
        named = [folder / word for word in words if "${" not in word and not word.startswith(("/", "-", "."))]
        named += [file for pattern in keys.files for file in sorted(folder.glob(pattern))]
        for file in named:
            if file.is_file():
                found.update(f"\0{file.relative_to(folder).as_posix()}\0".encode())
                found.update(file.read_bytes())
        return Code(found.hexdigest())

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Run the program to its end.

        Raises:
            MillpondError: it cannot be started, its exit code is not 0, or an output is not written.
        """
        inputs = {port: call.local(port) for port in call.inputs}
        outputs = {
            port: call.context.folder / _file_name(port, task.keys) for port, task in call.outputs.items()
        }

        def names(reference: Expression) -> Any:
            return {"inputs": inputs, "outputs": outputs}[reference.path[0]][reference.path[1]]

        if isinstance(call.keys.run, str):
            argv = ["/bin/sh", "-c", call.render(call.keys.run, names, shlex.quote)]
        else:
            argv = [str(call.render(word, names)) for word in call.keys.run]
        environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "MILLPOND_RUN": call.context.run_id,
            "MILLPOND_STEP": call.context.step,
            **{f"MILLPOND_INPUT_{port.upper()}": str(path) for port, path in inputs.items()},
            **{f"MILLPOND_OUTPUT_{port.upper()}": str(path) for port, path in outputs.items()},
        }
        _execute(argv, call.code, environment)
        for port, path in outputs.items():
            if not path.is_file():
                raise MillpondError(
                    f"the command ended well but wrote no output {port}",
                    hint=f"write it to ${{outputs.{port}}}, or to the path in MILLPOND_OUTPUT_{port.upper()}",
                )
        return outputs


def _execute(argv: list[str], folder: Path, environment: dict[str, str]) -> None:
    try:
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise MillpondError(f"{argv[0]} cannot be started: {error.strerror or error}") from None
    assert process.stdout is not None
    try:
        _follow(process)
    finally:
        if process.poll() is None:
            _stop(process)
        process.stdout.close()
    if process.returncode:
        code = process.returncode
        how = f"exit code {code}" if code > 0 else f"killed by {signal.Signals(-code).name}"
        raise MillpondError(f"the command failed: {how}", hint=f"it was: {shlex.join(argv)[:300]}")


def _follow(process: subprocess.Popen[bytes]) -> None:
    """Print what the program prints. It is polled, so that a step's timeout can break in at any time."""
    assert process.stdout is not None
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        readable = select.select([process.stdout], [], [], 0.1)[0]
        data = os.read(process.stdout.fileno(), 1 << 16) if readable else b""
        if data:
            print(decoder.decode(data), end="", flush=True)  # noqa: T201
        elif process.poll() is not None:
            return
        elif readable:  # closed its output and lives on
            time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number, wait in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
            process.wait(wait)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def _file_name(port: str, keys: Mapping[str, Any]) -> str:
    name = str(keys.get("path") or "").rsplit("/", 1)[-1]
    return f"out-{port}-{name}" if name else f"out-{port}"
