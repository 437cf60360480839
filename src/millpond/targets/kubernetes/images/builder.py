"""Builds and pushes images with docker, podman or buildah, whichever is there and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.images.secrets import secret_files

EPOCH = 315532800
"""The time of everything in an image, in seconds: 1980, the first that zip files know."""

_CHECKS = {
    "docker": ("version", "--format", "{{.Server.Version}}"),
    "podman": ("version",),
    "buildah": ("version",),
}
_PATIENCE = 20
_CREDENTIALS = re.compile(r"(://)[^/@\s]+@")


@dataclass(frozen=True)
class Builder:
    """A tool that builds images: its name, which is also its program's."""

    tool: str

    @classmethod
    def find(cls) -> Builder:
        """The first of the tools that answers; a docker without its engine does not.

        Raises:
            MillpondError: none does; says of each why not.
        """
        reasons = []
        for tool, check in _CHECKS.items():
            if not shutil.which(tool):
                reasons.append(f"{tool}: is not on PATH")
                continue
            try:
                asked = subprocess.run(
                    [tool, *check], capture_output=True, text=True, timeout=_PATIENCE, check=False
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                reasons.append(f"{tool}: does not answer: {error}")
                continue
            if asked.returncode == 0:
                return cls(tool)
            last = asked.stderr.strip().splitlines()[-1:] or ["it failed"]
            reasons.append(f"{tool}: {last[0]}")
        raise MillpondError(
            "no tool that builds images works here",
            hint="install docker, podman or buildah (Debian: sudo apt-get install buildah)",
            details=reasons,
        )

    def build(self, name: str, folder: Path, said: Callable[[str], None] = lambda line: None) -> None:
        """Build the context in a folder and call the image by a name.

        Args:
            said: called with each line that the tool prints.

        Raises:
            MillpondError: it cannot be built, with the last lines.
        """
        with secret_files() as secrets:
            argv = [self.tool, *self._build_words(), "--tag", name]
            for key, path in sorted(secrets.items()):
                argv += ["--secret", f"id=millpond-{key},src={path}"]
            self._run([*argv, str(folder)], f"{name} could not be built", said)

    def has(self, name: str) -> bool:
        """Whether the tool has an image of that name here."""
        words = ["inspect", "--type", "image"] if self.tool == "buildah" else ["image", "inspect"]
        return subprocess.run([self.tool, *words, name], capture_output=True, check=False).returncode == 0

    def push(self, name: str, said: Callable[[str], None] = lambda line: None) -> None:
        """Push an image to the registry that its name begins with, by the tool's own login.

        Raises:
            MillpondError: it cannot be pushed.
        """
        self._run([self.tool, "push", name], f"{name} could not be pushed", said)

    def _build_words(self) -> list[str]:
        if self.tool == "docker":
            return ["build", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"]
        return ["build", "--timestamp", str(EPOCH), "--layers=false"]

    def _run(self, argv: Sequence[str], problem: str, said: Callable[[str], None]) -> None:
        env = {**os.environ, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
        if self.tool == "buildah" and not (shutil.which("crun") or shutil.which("runc")):
            env.setdefault("BUILDAH_ISOLATION", "chroot")
        kept: deque[str] = deque(maxlen=40)
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=env,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                for raw in process.stdout:
                    line = _CREDENTIALS.sub(r"\1***@", raw.rstrip())
                    kept.append(line)
                    said(line)
            except BaseException:
                process.terminate()
                raise
        if process.returncode:
            hint = f"the last lines of {self.tool} say why"
            if re.search(r"unauthorized|authentication required|denied", "\n".join(kept)):
                hint = f"sign in first: {self.tool} login REGISTRY"
            raise MillpondError(problem, hint=hint, details=[line for line in kept if line.strip()][-12:])
