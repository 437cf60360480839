"""A Dask cluster of real processes for all tests here, and projects to run pipelines in."""

from __future__ import annotations

import os
import signal
import subprocess
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from loopback import free_port
from millpond.pipelines.events import Event, StepChanged, StepLogged
from millpond.pipelines.launch import Launch
from millpond.pipelines.record import RunRecord, Runs

SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Cluster:
    """A scheduler and two workers that live as long as all tests; `plugins` is on their path."""

    address: str
    plugins: Path
    python: Path
    scheduler: subprocess.Popen[bytes]


@dataclass
class Project:
    """A folder with a pipeline, run as the command line does it, on the file store."""

    folder: Path
    cluster: Cluster
    events: list[Event] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, pipeline: str, steps: str = "", **files: str) -> None:
        """Write pipeline.yaml, steps.py, and other modules."""
        self.flow.mkdir(parents=True, exist_ok=True)
        (self.flow / "pipeline.yaml").write_text(textwrap.dedent(pipeline))
        for name, text in {"steps": steps, **files}.items():
            (self.flow / f"{name}.py").write_text(textwrap.dedent(text))

    @property
    def flow(self) -> Path:
        return self.folder / "flow"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    @property
    def runs(self) -> Runs:
        return Runs(self.folder / "runs")

    def launch(self, parameters: dict[str, Any] | None = None, **options: Any) -> Launch:
        return Launch(self.flow, parameters, runs=self.runs.folder, **options)

    def env(self) -> dict[str, str]:
        """The environment of a run."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(SOURCE), str(self.cluster.plugins)]),
            "MILLPOND_LAKE_ROOT": str(self.lake),
            "DASK_SCHEDULER_ADDRESS": self.cluster.address,
            **self.environment,
        }

    def run(self, parameters: dict[str, Any] | None = None, **options: Any) -> RunRecord:
        """Run to the end; the events are kept in `events`."""
        self.events = []
        with self.launch(parameters, **options).start(self.cluster.python, self.env()) as running:
            self.events.extend(running)
            return running.record

    def states(self, record: RunRecord) -> dict[str, str]:
        """Step -> status."""
        return {name: step.status for name, step in record.steps.items()}

    def changes(self, step: str) -> list[StepChanged]:
        """What happened to a step."""
        return [event for event in self.events if isinstance(event, StepChanged) and event.step == step]

    def printed(self, step: str) -> str:
        """What a step's log events said."""
        return "".join(e.text for e in self.events if isinstance(e, StepLogged) and e.step == step)


@pytest.fixture(scope="session")
def cluster(science_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, ready."""
    with started(science_python, tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


@contextmanager
def started(python: Path, home: Path) -> Iterator[Cluster]:
    """A scheduler and two workers of one thread each, stopped in order at the end."""
    plugins = home / "plugins"
    plugins.mkdir(parents=True)
    env = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
        "DASK_TEMPORARY_DIRECTORY": str(home),
        "PYTHONPATH": os.pathsep.join([str(SOURCE), str(plugins)]),
        "PATH": os.pathsep.join([str(python.parent), os.environ["PATH"]]),
    }
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    dask = [str(python), "-m", "distributed.cli.dask_scheduler"]
    dask += ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    dask += ["--dashboard-address", "127.0.0.1:0"]
    worker = [str(python), "-m", "distributed.cli.dask_worker", address, "--host", "127.0.0.1"]
    worker += ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", str(home)]
    processes: list[subprocess.Popen[bytes]] = []
    with (home / "log").open("wb") as log:
        try:
            for argv in (dask, worker):
                made = subprocess.Popen(
                    argv, cwd=home, env=env, stdout=log, stderr=log, start_new_session=True
                )
                processes.append(made)
            yield Cluster(address, plugins, python, processes[0])
        finally:
            for process in reversed(processes):
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


@pytest.fixture
def project(cluster: Cluster, tmp_path: Path) -> Project:
    """An empty project."""
    return Project(tmp_path, cluster)


def wait_for(condition: Any, seconds: float = 20) -> Any:
    """What `condition` gives once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come true")
