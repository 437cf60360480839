"""Running Helm, and its complaints in words."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError

_SHOWN = 8
"""Lines of Helm's output that are shown."""


class ChartError(MillpondError):
    """A chart cannot be had, rendered or installed."""

    exit_code = 4


class Helm:
    """The program helm, for one context of a kubeconfig.

    Args:
        context: the kubeconfig's context; its current one when empty.
        kubeconfig: the file; what Helm takes itself when None.
        program: the program; `millpond.targets.kubernetes.tools.helm` finds it when None.
    """

    def __init__(
        self, context: str = "", kubeconfig: Path | None = None, program: Path | None = None
    ) -> None:
        self._program = program
        self._target = [
            *(["--kube-context", context] if context else []),
            *(["--kubeconfig", str(kubeconfig)] if kubeconfig else []),
        ]

    @cached_property
    def program(self) -> Path:
        """Where it is.

        Raises:
            ToolError: nowhere, and it cannot be had.
        """
        from millpond.targets.kubernetes import tools

        return self._program or tools.helm()

    @cached_property
    def major(self) -> int:
        """3 or 4: their flags differ."""
        done = subprocess.run(
            [self.program, "version", "--short"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        found = re.search(r"v(\d+)\.", done.stdout)
        return int(found[1]) if found else 3

    async def cluster(self, *arguments: str, failed: Callable[[str], MillpondError]) -> str:
        """Run a command against the cluster; its output.

        Args:
            arguments: without the program.
            failed: makes the error of what it complained.
        """
        return await self._run([*arguments, *self._target], failed)

    async def offline(self, *arguments: str, failed: Callable[[str], MillpondError]) -> str:
        """Run a command that asks no cluster."""
        return await self._run(arguments, failed)

    async def _run(self, arguments: Sequence[str], failed: Callable[[str], MillpondError]) -> str:
        process = await asyncio.create_subprocess_exec(
            self.program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        try:
            out, complaint = await process.communicate()
        except asyncio.CancelledError:
            # An upgrade that is ended by SIGTERM marks its release as failed, not as pending for ever.
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
            raise
        if process.returncode:
            raise failed(complaint.decode(errors="replace"))
        return out.decode()

    def now(self, *arguments: str, failed: Callable[[str], MillpondError]) -> str:
        """Run a command that asks no cluster, and wait for it."""
        done = subprocess.run(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=_environment(),
        )
        if done.returncode:
            raise failed(done.stderr)
        return done.stdout


def _environment() -> dict[str, str]:
    # What the user has set for Helm in general, such as a namespace or --debug, is not for our releases.
    dropped = ("HELM_NAMESPACE", "HELM_DEBUG", "HELM_KUBECONTEXT", "HELM_DRIVER")
    return {key: value for key, value in os.environ.items() if key not in dropped}


def lines(complaint: str) -> list[str]:
    """The last lines of what Helm complained, without passwords of URLs, warnings and level words."""
    text = re.sub(r"(://)[^/@\s]+@", r"\1***@", complaint)
    found = []
    for line in text.splitlines():
        words = re.sub(r"^(Error: |level=\w+ msg=|time=\S+ )+", "", line.strip()).strip()
        if words and not line.startswith(("WARNING:", "coalesce.go", "level=WARN", "I1", "W1", "E1")):
            found.append(words)
    return found[-_SHOWN:]


def gist(complaint: str) -> str:
    """The heart of a complaint: its last line without the steps that led there."""
    found = lines(complaint)
    return found[-1].rstrip(".") if found else "it gave no reason"


def parsed(text: str) -> Any:
    """What a command printed as JSON."""
    return json.loads(text or "null")


__all__ = ["ChartError", "Helm", "gist", "lines", "parsed"]
