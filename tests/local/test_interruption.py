"""An `up` can be stopped at any moment, in any way: nothing is half-done, and the next one goes on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from millpond.targets.local.workspace import BusyError

from .conftest import Project, until


def _ends(running: subprocess.Popen[str], code: int | None = None) -> str:
    told = running.communicate(timeout=30)[1]
    if code is not None:
        assert running.returncode == code, told
    assert "Traceback" not in told, told
    return told


def _is_up(project: Project, name: str) -> bool:
    """Whether `up` itself knows: the supervisor knows a moment earlier, and what is not up is stopped."""
    return bool(project.state["nodes"].get(name, {}).get("digest"))


def _converges(project: Project) -> None:
    project.flavour("ledger", "shop", "depot", viewer={"uses": {"shelves": "shop"}}).up()
    assert project.ready() == {"ledger", "shop", "viewer", "depot/back", "depot/front"}
    assert project.target().plan().empty
    assert project.data("ledger", "quarrels") == ""
    for asker in ("shop.shop", "viewer.views"):
        account = asker.replace(".", ".database/", 1).split("/")[0]
        assert project.data("ledger", f"account.{asker}") == project.secrets[f"ledger/{account}/password"]


class TestCtrlC:
    def test_while_a_job_runs(self, project: Project) -> None:
        project.flavour("shop", "depot", ledger={"slow_job": 20})
        running = project.millpond("up", "--yes")
        until(lambda: project.data("ledger", "draft") and _is_up(project, "depot"))
        running.send_signal(signal.SIGINT)
        told = _ends(running, 130)
        assert "interrupted: 1 of 3 components are up" in told
        assert set(project.pids()) == {"depot/back", "depot/front"}
        assert len(project.marked()) == 2
        _converges(project)

    def test_while_a_process_starts(self, project: Project) -> None:
        project.flavour("shop", "depot", ledger={"delay": 1.2})
        running = project.millpond("up", "--yes")
        until(lambda: "ledger" in project.pids() and _is_up(project, "depot"))
        running.send_signal(signal.SIGINT)
        _ends(running, 130)
        assert set(project.pids()) == {"depot/back", "depot/front"}
        assert len(project.marked()) == 2
        assert project.state["nodes"]["ledger"]["digest"] == ""
        _converges(project)

    def test_while_something_is_installed(self, project: Project, tmp_path: Path) -> None:
        """An installer that never gets an answer is ended, and nothing of it is left in the store."""
        own = project.folder / "own/heavy"
        own.mkdir(parents=True)
        (own / "component.yaml").write_text(
            "{name: heavy, summary: Big, version: '1', licence: none,"
            " service: {install: {pip: requirements.lock}, command: [sleep, '60']}}"
        )
        (own / "requirements.lock").write_text(f"nothing-of-that-name==1 --hash=sha256:{'0' * 64}\n")
        project.catalogue = ["own", *project.catalogue]
        project.flavour("heavy", "depot")
        store = tmp_path / "store"
        silent = subprocess.Popen(
            ["python", "-c", _SILENT], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert silent.stdout
        try:
            index = f"http://127.0.0.1:{silent.stdout.readline().strip()}/simple"
            env = {
                **os.environ,
                "MILLPOND_CACHE_DIR": str(store),
                "UV_INDEX_URL": index,
                "UV_DEFAULT_INDEX": index,
            }
            running = project.millpond("up", "--yes", env=env)
            assert silent.stdout.readline() == "asked\n"
            until(lambda: project.workspace.state.exists() and _is_up(project, "depot"))
            running.send_signal(signal.SIGINT)
            _ends(running, 130)
        finally:
            silent.kill()
            silent.communicate()
        assert set(project.pids()) == {"depot/back", "depot/front"}
        assert not list((store / "pip").glob("*"))
        _converges(project)

    @pytest.mark.slow
    def test_twice_in_a_row(self, project: Project) -> None:
        project.flavour("shop", "depot", ledger={"delay": 1.2})
        running = project.millpond("up", "--yes")
        until(lambda: "ledger" in project.pids())
        running.send_signal(signal.SIGINT)
        time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=30)
        _converges(project)


_SILENT = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    kept = [server.accept()]
    print("asked", flush=True)
    while True:
        kept.append(server.accept())
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_up_that_is_killed_at_any_moment_is_gone_on_with(project: Project, seed: int) -> None:
    chance = random.Random(seed)
    for turn in range(4):
        greeting = f"turn {turn}"
        ledger = {"slow_job": 0.2, "delay": 0.1, "greeting": greeting}
        viewer = {"uses": {"shelves": "shop"}}
        project.flavour("depot", ledger=ledger, shop={"greeting": greeting}, viewer=viewer)
        running = project.millpond("up", "--yes")
        time.sleep(chance.uniform(0.2, 1.6))
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=10)
        if project.workspace.state.exists():
            assert project.state["format"] == 1
    _converges(project)
    assert project.processes()["ledger"].restarts == 0


def test_a_killed_ups_job_does_not_meet_the_next_ones(project: Project) -> None:
    project.flavour("depot", ledger={"slow_job": 20})
    running = project.millpond("up", "--yes")
    until(lambda: project.data("ledger", "draft"))
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=10)
    _converges(project)


def test_what_a_killed_up_had_started_is_stopped_when_it_is_not_wanted_any_more(project: Project) -> None:
    project.flavour("depot", ledger={"delay": 1.2})
    running = project.millpond("up", "--yes")
    until(lambda: "ledger" in project.pids())
    os.kill(running.pid, signal.SIGKILL)
    running.communicate(timeout=10)
    project.flavour("depot").up()
    assert set(project.processes()) == {"depot/back", "depot/front"}


def test_of_two_ups_at_once_one_is_told_to_wait(project: Project) -> None:
    project.flavour("shop", "depot", ledger={"delay": 0.7})
    running = project.millpond("up", "--yes")
    until(lambda: "ledger" in project.pids())
    told = project.try_up().error
    assert isinstance(told, BusyError)
    assert told.message == f"another command (pid {running.pid}) is changing this platform"
    assert project.run("down").returncode == 5
    _ends(running, 0)
    assert project.ready() == {"ledger", "shop", "depot/back", "depot/front"}


def test_the_platform_survives_the_terminal_that_started_it(project: Project) -> None:
    project.flavour("depot")
    running = project.millpond("up", "--yes")
    _ends(running, 0)
    # Its whole session is told that the terminal has gone.
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, signal.SIGHUP)
    assert project.ready() == {"depot/back", "depot/front"}
