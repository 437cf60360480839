"""This machine as cluster tools see it: what is on PATH, how it is installed, how a step is run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from millpond.model.errors import MillpondError

_KEPT = 15
_PATIENCE = 60.0


@dataclass(frozen=True)
class Tool:
    """A program that its user installs; Millpond never downloads it.

    Args:
        program: its name on PATH.
        linux: how it is installed on Linux, as a sentence with commands.
        darwin: the same on macOS.
    """

    program: str
    linux: str
    darwin: str

    def install(self, system: str) -> str:
        """How it is installed on a system (``linux``, ``darwin``)."""
        return self.darwin if system == "darwin" else self.linux


@dataclass(frozen=True)
class Step:
    """One command that a provider wants run.

    Args:
        argv: the program and its arguments; no shell is between, and no secret in it.
        stdin: what the command reads, such as a configuration.
        root: whether it works as root alone.
    """

    argv: tuple[str, ...]
    stdin: str | None = None
    root: bool = False

    def __str__(self) -> str:
        """The command as one types it into a shell."""
        text = ("sudo " if self.root else "") + shlex.join(self.argv)
        if self.stdin is None:
            return text
        return f"{text} <<'END'\n{self.stdin.rstrip()}\nEND"


@dataclass(frozen=True)
class Answer:
    """What a quick question to a tool gave."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line that says what went wrong."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {self.code}"


@dataclass(frozen=True)
class Machine:
    """Where the tools run.

    Args:
        system: ``linux`` or ``darwin``.
        root: whether we are root, so that no ``sudo`` is needed.
        environ: the environment that tools get; its PATH is where they are looked up.
    """

    system: str = field(default_factory=lambda: "darwin" if sys.platform == "darwin" else "linux")
    root: bool = field(default_factory=lambda: os.geteuid() == 0)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def find(self, program: str) -> str | None:
        """Where a program is on PATH; None when it is not there."""
        return shutil.which(program, path=self.environ.get("PATH", os.defpath))

    def need(self, tool: Tool, why: str) -> None:
        """Make sure that a tool is there.

        Args:
            tool: the tool.
            why: whose cluster needs it, for the message (``the provider kind``).

        Raises:
            MillpondError: it is not on PATH; the hint says how to install it on this system.
        """
        if self.find(tool.program) is None:
            raise MillpondError(
                f"{why} needs the program {tool.program}, which is not on PATH",
                hint=tool.install(self.system),
            )

    def ask(self, *argv: str) -> Answer:
        """Run a command that only looks, and take its output; one that hangs for a minute has failed."""
        path = self.find(argv[0])
        if path is None:
            return Answer(127, "", f"{argv[0]} is not on PATH")
        try:
            found = subprocess.run(
                [path, *argv[1:]],
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(124, "", f"{argv[0]} did not answer within {_PATIENCE:.0f} s")
        except OSError as error:
            return Answer(126, "", f"{argv[0]} cannot be run: {error.strerror}")
        return Answer(found.returncode, found.stdout, found.stderr)

    def allow(self, steps: Sequence[Step], what: str, after: str) -> None:
        """See that this user may run all steps, before the first one is run.

        Args:
            steps: what is to be run.
            what: what they do, for the message (``starting k3s``).
            after: what to do once root has run them.

        Raises:
            MillpondError: some need root; the exact commands are its details.
        """
        if self.root or not any(step.root for step in steps):
            return
        raise MillpondError(
            f"{what} needs root, and Millpond does not become root by itself",
            hint=f"run these commands yourself, then {after}",
            details=[line for step in steps for line in str(step).splitlines()],
        )

    def run(self, step: Step, tell: Callable[[str], None]) -> None:
        """Run a step to its end.

        Args:
            step: the command.
            tell: gets each line that the command prints.

        Raises:
            MillpondError: it failed; its last lines are the details.
        """
        path = self.find(step.argv[0])
        if path is None:
            raise MillpondError(f"{step.argv[0]} is not on PATH", hint=f"install it, then run: {step}")
        kept: deque[str] = deque(maxlen=_KEPT)
        with subprocess.Popen(
            [path, *step.argv[1:]],
            env=dict(self.environ),
            stdin=subprocess.PIPE if step.stdin is not None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            if step.stdin is not None:
                assert process.stdin is not None
                try:
                    process.stdin.write(step.stdin)
                    process.stdin.close()
                except BrokenPipeError:
                    pass  # what it said before it ended is told below
            assert process.stdout is not None
            for line in process.stdout:
                kept.append(line.rstrip())
                tell(line.rstrip())
            code = process.wait()
        if code != 0:
            raise MillpondError(
                f"{shlex.join(step.argv)} failed with exit code {code}",
                details=kept,
                hint="what the tool says is above; the command can be run again by hand",
            )
