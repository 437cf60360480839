"""What is kept on disk: valid after everything, and refused with a sentence when it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.model.errors import MillpondError

from .conftest import Project


def test_a_state_of_a_newer_millpond_is_refused(project: Project) -> None:
    project.flavour("depot").up()
    newer = {**project.state, "format": 99}
    project.workspace.state.write_text(json.dumps(newer))
    done = project.run("plan")
    assert done.returncode == 1
    assert "was written by a newer Millpond" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.state == newer


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1, "platform": "x", "nodes": []}'])
def test_a_broken_state_is_told_and_can_be_removed(project: Project, content: str) -> None:
    project.flavour("depot").up()
    before = project.port("depot")
    project.workspace.state.write_text(content)
    with pytest.raises(MillpondError) as caught:
        project.target()
    assert f"{project.workspace.state} cannot be read" in caught.value.message
    assert caught.value.hint
    project.workspace.state.unlink()
    project.up()
    assert project.ready() == {"depot/back", "depot/front"}
    # What ran under the old ports has gone.
    assert len(project.marked()) == 2 and before


@pytest.mark.parametrize("content", ["{", "[]", '{"fingerprint": 3}'])
def test_broken_secrets_are_told(project: Project, content: str) -> None:
    project.flavour("depot").workspace.create()
    project.workspace.secrets.write_text(content)
    with pytest.raises(MillpondError) as caught:
        project.target().plan()
    assert f"{project.workspace.secrets} cannot be read" in caught.value.message
    assert caught.value.hint and "backup" in caught.value.hint


def test_what_runs_is_known_even_without_a_state(project: Project) -> None:
    project.flavour("ledger", "depot").up()
    project.workspace.state.unlink()
    project.flavour("depot").up()
    assert set(project.processes()) == {"depot/back", "depot/front"}


@pytest.mark.slow
def test_commands_at_the_same_time_make_each_secret_once(project: Project) -> None:
    """A plan beside an up must not write over a secret that a database was just made with."""
    project.flavour("ledger", "shop")
    running = [project.millpond("plan") for _ in range(3)] + [project.millpond("up", "--yes")]
    codes = [process.wait(60) for process in running]
    for process in running:
        process.communicate()
    assert codes == [0, 0, 0, 0]
    secrets = project.secrets
    assert project.env("ledger")["MASTER"] == secrets["ledger//master"]
    assert project.data("ledger", "account.shop.shop") == secrets["ledger/shop.database/password"]
    assert project.target().plan().empty


_LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.argv = ["millpond", *sys.argv[2:]]
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
runpy.run_module("millpond", run_name="__main__")
"""


class TestFullDisk:
    def test_a_state_that_cannot_be_written_is_told_and_kept(self, project: Project) -> None:
        project.flavour("depot").up()
        before = project.state
        project.flavour("depot", "ledger", "shop")
        done = subprocess.run(
            [sys.executable, "-c", _LIMITED, "100", "up", "--yes"],
            cwd=project.folder, env=os.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode not in (0, -11)
        assert "Traceback" not in done.stderr, done.stderr
        assert str(project.workspace.root) in done.stderr
        assert "too large" in done.stderr.lower()
        assert project.state == before
        assert [path.name for path in project.workspace.root.glob(".state*")] == []
        project.up()
        assert project.ready() == {"depot/back", "depot/front", "ledger", "shop"}

    @pytest.mark.slow
    @pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="mounts a small disk")
    def test_a_full_disk_is_named_and_nothing_is_corrupted(self, tmp_path: Path, project: Project) -> None:
        small = project.folder / ".millpond"
        small.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", small], check=True)
        try:
            project.flavour("ledger").up()
            before = project.state
            filler = small / "filler"
            with pytest.raises(OSError, match="No space"), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(b"0" * 1024)
            project.flavour("depot", "shop", "ledger")
            done = project.run("up", "--yes")
            assert done.returncode != 0
            assert "Traceback" not in done.stderr, done.stderr
            assert "no space left" in done.stderr.lower()
            assert project.state["nodes"]["ledger"] == before["nodes"]["ledger"]
            assert "ledger" in project.ready()
            filler.unlink()
            project.up()
            assert project.ready() == {"ledger", "shop", "depot/back", "depot/front"}
        finally:
            project.supervisor.shutdown()
            subprocess.run(["umount", "-l", small], check=True)
