"""Fakes of the cluster tools: scripts on a private PATH that note how they are called and play a state.

Nothing here is the real minikube, kind, microk8s, k3s or multipass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

_FAKE = """#!{python}
import json, sys
name, words = {name!r}, sys.argv[1:]
stdin = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
with open({log!r}, "a") as log:
    log.write(json.dumps([name, *words]) + "\\n")
with open({log!r} + ".stdin", "a") as log:
    log.write(stdin)
answers = {answers!r}
line = " ".join(words)
for start in sorted(answers, key=len, reverse=True):
    if line.startswith(start):
        code, out, err = answers[start]
        sys.stdout.write(out)
        sys.stderr.write(err)
        sys.exit(code)
"""

Said = tuple[int, str, str]


class Fakes:
    """A machine whose PATH holds fake tools alone."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.home = folder / "home"
        self.project = folder / "project"
        for path in (self.bin, self.home, self.project):
            path.mkdir()
        self.log = folder / "calls"

    def add(self, name: str, answers: Mapping[str, str | Said] | None = None) -> None:
        """A fake tool; an answer is told for calls that begin with its key, anything else just works."""
        told = {
            key: (0, said, "") if isinstance(said, str) else said for key, said in (answers or {}).items()
        }
        path = self.bin / name
        path.write_text(_FAKE.format(python=sys.executable, name=name, log=str(self.log), answers=told))
        path.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """Every call of a fake, in order."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @property
    def stdin(self) -> str:
        """What the fakes read."""
        return Path(f"{self.log}.stdin").read_text()

    def run(self, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """``millpond cluster …`` on this machine."""
        environ = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "MILLPOND_CACHE_DIR": os.environ.get("MILLPOND_CACHE_DIR", str(self.home / "cache")),
            **more,
        }
        return subprocess.run(
            [sys.executable, "-m", "millpond", "cluster", *words],
            cwd=self.project,
            env=environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def fakes(tmp_path: Path) -> Fakes:
    """A machine without any tool; tests add the fakes that they want."""
    return Fakes(tmp_path)
