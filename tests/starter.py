"""The starter platform as its user sees it: a folder, and the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

MILLPOND = Path(sys.executable).parent / "millpond"
EXAMPLES = Path(__file__).parent.parent / "examples"


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

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component."""
        found = self.json("credentials", name, "--json")
        return str(found["username"]), str(found["password"])

    def run(self, example: Path, *, force: str = "", **parameters: str) -> dict[str, Any]:
        """Run a pipeline to its end, and return its record."""
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}={value}")]
        given += ["--force", force] if force else []
        before = {entry["id"] for entry in self.json("runs", "--json")}
        self.millpond("run", str(example / "pipeline.yaml"), *given, timeout=600)
        (new,) = [entry["id"] for entry in self.json("runs", "--json") if entry["id"] not in before]
        found: dict[str, Any] = self.json("runs", "show", new, "--json")
        return found

    def wait_for_deployment(self, name: str, timeout: float = 120) -> None:
        """Wait until a deployment answers through the gateway."""
        where = f"http://127.0.0.1:{self.gateway_port}/v2/models/{name}/ready"
        deadline = time.monotonic() + timeout
        while True:
            found = requests.get(where, headers={"Host": f"{name}.localhost"}, timeout=10)
            if found.status_code == 200:
                return
            assert time.monotonic() < deadline, f"{name} does not answer: {found.status_code} {found.text}"
            time.sleep(0.2)


def reported(record: dict[str, Any]) -> dict[str, Any]:
    """What a demo's last step found, from the run's record."""
    found: dict[str, Any] = record["steps"]["report"]["outputs"]["results"]["value"]
    return found
