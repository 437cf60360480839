"""The starter platform as its user sees it: a folder, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

MILLPOND = Path(sys.executable).parent / "millpond"


class Starter:
    """A project folder with a platform that is up."""

    def __init__(self, project: Path) -> None:
        self.project = project

    def millpond(
        self, *arguments: str, check: bool = True, timeout: float = 300, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder; what it printed is shown when it fails."""
        found = subprocess.run(
            [str(MILLPOND), *arguments],
            cwd=self.project,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and found.returncode:
            called = f"millpond {' '.join(arguments)}"
            raise AssertionError(f"{called} ended with {found.returncode}\n{found.stdout}\n{found.stderr}")
        return found

    def json(self, *arguments: str) -> Any:
        """What a command prints as JSON."""
        return json.loads(self.millpond(*arguments).stdout)

    @cached_property
    def env(self) -> dict[str, str]:
        """What user code finds in its environment."""
        found: dict[str, str] = self.json("env", "--format", "json")
        return found

    @cached_property
    def gateway_port(self) -> int:
        """The port of the one entrance."""
        return int(self.env["MILLPOND_GATEWAY_URL"].rpartition(":")[2])

    def granted(self, provider: str, asker: str) -> dict[str, str]:
        """The secrets that a provider made for one asker, read where only the platform's user can."""
        kept = json.loads((self.project / ".millpond/secrets.json").read_text())
        prefix = f"{provider}/{asker}/"
        return {key.removeprefix(prefix): value for key, value in kept.items() if key.startswith(prefix)}
