"""A supervisor in a folder of its own, services of a few lines of Python, and a check that all has gone."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from millpond.targets.local.supervisor import processes
from millpond.targets.local.supervisor.blocking import BlockingSupervisor, ensure
from millpond.targets.local.supervisor.protocol import NotRunningError
from millpond.targets.local.supervisor.spec import ServiceSpec, ServiceStatus

SLEEPER = "import time; print('here', flush=True); time.sleep(600)"
SERVER = """
import http.server, os, sys, time
time.sleep(float(os.environ.get("DELAY", "0")))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        word = os.environ.get("WORD")
        code = 200 if not word or self.headers.get("Authorization") == f"Bearer {word}" else 401
        if os.path.exists("sick"):
            code = 503
        self.send_response(code); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"ok")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    return processes.started(pid) is not None


class Platform:
    """A run directory and what tests do with it."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.supervisor = BlockingSupervisor(run)

    def up(self) -> BlockingSupervisor:
        self.supervisor = ensure(self.run)
        return self.supervisor

    def spec(self, name: str, code: str = SLEEPER, *arguments: str, **rest: Any) -> ServiceSpec:
        """A service that runs a bit of Python."""
        rest.setdefault("argv", (sys.executable, "-S", "-c", code, *arguments))
        rest.setdefault("cwd", self.run.parent / "work" / name)
        rest.setdefault("log", self.run.parent / "logs" / f"{name}.log")
        return ServiceSpec(name=name, component=name, **rest)

    def status(self, name: str) -> ServiceStatus:
        return next(found for found in self.supervisor.status() if found.name == name)

    def log(self, name: str) -> str:
        path = self.run.parent / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def told(self) -> str:
        """The supervisor's own log."""
        return (self.run / "supervisor.log").read_text()

    def kill(self, *which: str) -> None:
        """SIGKILL the supervisor and, or, its guardian."""
        hello = self.supervisor.ping()
        for key in which:
            os.kill(hello[key], signal.SIGKILL)

    def left(self) -> list[int]:
        """Processes with the mark of this platform."""
        return processes.marked(str(self.run))


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A platform whose supervisor runs; everything is ended after the test, and nothing may be left."""
    found = Platform(tmp_path / "run")
    found.up()
    yield found
    guardian = None
    with contextlib.suppress(NotRunningError):
        guardian = found.supervisor.ping()["guardian"]
    found.supervisor.shutdown()
    assert found.left() == []
    if guardian:
        until(lambda: not alive(guardian))
