"""A project, and a kubeconfig that leads to a mock of the API server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubernetes.engine.mockserver import MockServer
from millpond.cli import entry

CATALOGUE = Path(__file__).parents[2] / "cli/catalogue"
NAMESPACE = "mill"


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


Millpond = Callable[..., Said]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "millpond.yaml").write_text(
        f"name: {NAMESPACE}\ncatalogue: [{CATALOGUE}]\ncomponents: [store]\n"
    )
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockServer]:
    """The mock on a loop of its own, as commands bring theirs."""
    mock = MockServer()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(mock.start(), loop).result(5)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "mock",
        "clusters": [{"name": "mock", "cluster": {"server": f"http://127.0.0.1:{mock.port}"}}],
        "users": [{"name": "mock", "user": {}}],
        "contexts": [{"name": "mock", "context": {"cluster": "mock", "user": "mock"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(path))
    yield mock
    asyncio.run_coroutine_threadsafe(_end(mock), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def _end(mock: MockServer) -> None:
    await mock.stop()
    # asyncio's streams complain of a served connection that is cancelled (Python 3.11).
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@pytest.fixture
def millpond(project: Path, capfd: pytest.CaptureFixture[str]) -> Millpond:
    """The command line in the project's folder."""

    def run(*words: str) -> Said:
        capfd.readouterr()
        code = entry.run(["-C", str(project), *words])
        return Said(code, *capfd.readouterr())

    return run
