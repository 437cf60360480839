"""A project folder with a flavour of small fake components, brought up on real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.flavours.loader import read
from millpond.model.errors import MillpondError
from millpond.model.events import ComponentEvent, Phase
from millpond.model.plan import Plan
from millpond.targets.local.supervisor import processes
from millpond.targets.local.supervisor.blocking import BlockingSupervisor
from millpond.targets.local.supervisor.protocol import NotRunningError, socket_path
from millpond.targets.local.supervisor.spec import ServiceStatus
from millpond.targets.local.target import LocalTarget
from millpond.targets.local.workspace import Workspace
from millpond.targets.ports import is_free

CATALOGUE = Path(__file__).parent / "catalogue"


def until(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
    return found


@dataclass
class Up:
    """How an `up` went."""

    plan: Plan | None = None
    error: MillpondError | None = None
    events: list[ComponentEvent] = field(default_factory=list)

    @property
    def ends(self) -> dict[str, Phase]:
        """By component the phase that it ended in."""
        return {event.component: event.phase for event in self.events if event.phase.ended}

    def end(self, name: str) -> ComponentEvent:
        """How one component ended."""
        return next(event for event in self.events if event.component == name and event.phase.ended)

    @property
    def acts(self) -> dict[str, str]:
        """What the plan wanted of each component."""
        assert self.plan
        return {change.component: str(change.act) for change in self.plan.changes}


class Project:
    """A folder with a flavour file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.workspace = Workspace(folder)
        self.supervisor = BlockingSupervisor(self.workspace.run)
        self.catalogue = [str(CATALOGUE)]

    # --- the flavour --------------------------------------------------------------------------------------

    def flavour(self, *names: str, external: Any = None, **components: Any) -> Project:
        """Write the flavour: names with their defaults, and components with options."""
        chosen = {**dict.fromkeys(names), **components}
        data = {"name": "village", "catalogue": self.catalogue, "components": chosen}
        if external:
            data["external"] = external
        (self.folder / "millpond.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
        return self

    def target(self, new_ports: Iterable[str] = ()) -> LocalTarget:
        source = read(self.folder / "millpond.yaml")
        catalogue = source.catalogue()
        return LocalTarget(source.resolve(catalogue), catalogue, source.project, new_ports)

    # --- verbs --------------------------------------------------------------------------------------------

    def try_up(self, new_ports: Iterable[str] = (), only: Iterable[str] = ()) -> Up:
        """Bring it up as far as that goes."""
        found = Up()
        target = self.target(new_ports)
        found.plan = target.plan()
        try:
            found.plan = asyncio.run(target.apply(found.events.append, only=only))
        except MillpondError as error:
            found.error = error
        return found

    def up(self, new_ports: Iterable[str] = (), only: Iterable[str] = ()) -> Up:
        """Bring it up."""
        found = self.try_up(new_ports, only)
        assert found.error is None, [event for event in found.events if event.phase.ended]
        return found

    def down(self) -> None:
        asyncio.run(self.target().down())

    def millpond(self, *arguments: str, **keywords: Any) -> subprocess.Popen[str]:
        """The command line, in the background."""
        keywords = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | keywords
        return subprocess.Popen(
            [sys.executable, "-m", "millpond", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **keywords,
        )

    def run(
        self, *arguments: str, prefix: Iterable[str] = (), **env: str
    ) -> subprocess.CompletedProcess[str]:
        """The command line, to its end."""
        return subprocess.run(
            [*prefix, sys.executable, "-m", "millpond", *arguments],
            cwd=self.folder,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    # --- what is there ------------------------------------------------------------------------------------

    @property
    def state(self) -> dict[str, Any]:
        """The state file."""
        found: dict[str, Any] = json.loads(self.workspace.state.read_text())
        return found

    @property
    def secrets(self) -> dict[str, str]:
        """The secrets file."""
        found: dict[str, str] = json.loads(self.workspace.secrets.read_text())
        return found

    def port(self, name: str, port: str = "http") -> int:
        return int(self.state["nodes"][name]["ports"][port])

    def processes(self) -> dict[str, ServiceStatus]:
        """What the supervisor says of every process; empty without one."""
        try:
            return {found.name: found for found in self.supervisor.status()}
        except NotRunningError:
            return {}

    def ready(self) -> set[str]:
        return {name for name, found in self.processes().items() if found.state == "ready"}

    def pids(self) -> dict[str, int]:
        return {name: found.pid for name, found in self.processes().items() if found.pid}

    def get(self, name: str, path: str, port: str = "http") -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port(name, port)}{path}", timeout=5) as answer:
            return bytes(answer.read())

    def env(self, name: str, port: str = "http") -> dict[str, str]:
        """The environment that a fake component finds."""
        found: dict[str, str] = json.loads(self.get(name, "/env", port))
        return found

    def put(self, name: str, file: str, content: bytes) -> None:
        """Have a fake component keep something."""
        url = f"http://127.0.0.1:{self.port(name)}/data/data/{file}"
        urllib.request.urlopen(urllib.request.Request(url, content, method="PUT"), timeout=5).close()

    def kept(self, name: str, file: str) -> bytes:
        """What a fake component has kept."""
        return self.get(name, f"/data/data/{file}")

    def data(self, name: str, file: str) -> str:
        """A file beside a component's volumes, empty when there is none."""
        path = self.workspace.data(name) / file
        return path.read_text() if path.exists() else ""

    @contextlib.contextmanager
    def supervisor_events(self, stopped: list[str]) -> Iterator[None]:
        """Note the names of processes in the order in which they have stopped."""
        events = self.supervisor.events()
        listening = threading.Event()

        def listen() -> None:
            listening.set()
            for change in events:
                if change.new == "stopped":
                    stopped.append(change.name)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        listening.wait()
        yield

    def marked(self) -> list[int]:
        """Processes that belong to this project."""
        return processes.marked(str(self.workspace.run.absolute()))

    def clean(self) -> None:
        """End everything and assert that nothing is left, running, listening or on disk."""
        ports = []
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            ports = [port for node in self.state["nodes"].values() for port in node["ports"].values()]
        guardian = 0
        with contextlib.suppress(NotRunningError):
            guardian = int(self.supervisor.ping()["guardian"])
        self.supervisor.shutdown()
        address = socket_path(self.workspace.run)
        assert self.marked() == []
        assert address is None or not address.exists()
        # The guardian ends a moment after what it guards.
        until(lambda: not [found for found in _processes_of(self.folder) if found != os.getpid()])
        assert [port for port in ports if not is_free(port)] == []
        if guardian:
            until(lambda: processes.started(guardian) is None)


def _processes_of(folder: Path) -> list[int]:
    """Processes that work in a folder or were given its path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().decode(errors="replace")
            named = str(folder) in words or os.readlink(entry / "cwd").startswith(str(folder))
            if named and processes.started(int(entry.name)) is not None:
                found.append(int(entry.name))
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """An empty project; after the test nothing of it may be left running or outside of its folder."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    found = Project(tmp_path / "project")
    try:
        yield found
    finally:
        for pid in [pid for pid in _processes_of(found.folder) if pid != os.getpid()]:
            with contextlib.suppress(OSError):
                if b"\0up\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
        found.clean()
        shared = found.workspace.shared("any").parent
        if shared.exists():
            asyncio.run(found.target().destroy())
        assert not shared.exists()


def answers(url: str) -> bool:
    """Whether something answers there."""
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except (OSError, urllib.error.URLError):
        return False
    return True
