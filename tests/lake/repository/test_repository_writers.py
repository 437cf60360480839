"""Many writers at once: each commit is there or its writer was told; one that dies leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.repository import Repository
from millpond.lake.store import ConflictError

WRITER = Path(__file__).parent / "writer.py"


def writers(
    environment: dict[str, str], tmp_path: Path, names: str, count: int, shared: str
) -> list[dict[str, object]]:
    """What some processes say that began together."""
    running = [
        subprocess.Popen(
            [sys.executable, str(WRITER), name, str(count), shared],
            env={**os.environ, **environment, "MILLPOND_CACHE_DIR": str(tmp_path / f"cache-{name}")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in running:
        assert process.stdout and process.stdin
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.stdin.write("go\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]
    return [json.loads(process.communicate(timeout=120)[0]) for process in running]


@pytest.mark.slow
def test_no_writers_commit_is_lost(repo: Repository, environment: dict[str, str], tmp_path: Path) -> None:
    said = writers(environment, tmp_path, "abcd", 12, "own")
    assert [item["won"] for item in said] == [list(range(12))] * 4, "others' files are no reason to fail"
    expected = {f"{name}/{number}": f"{name} {number}" for name in "abcd" for number in range(12)}
    assert {entry.path: repo.read(entry.path).decode() for entry in repo.files()} == expected
    assert len(list(repo.log())) == 4 * 12 + 1


@pytest.mark.slow
def test_writers_of_one_file_are_told(repo: Repository, environment: dict[str, str], tmp_path: Path) -> None:
    said = writers(environment, tmp_path, "abc", 12, "shared")
    expected = {f"{item['name']}/{number}" for item in said for number in item["won"]}  # type: ignore[attr-defined]
    found = {entry.path for entry in repo.files()} - {"shared"}
    assert found == expected, "what was told to have failed left nothing, what was not is there"
    # The file's history is what those who won wrote, one after the other.
    history = [commit.message for commit in repo.log("main", "shared")]
    won = [f"{item['name']} {number}" for item in said for number in item["won"] if number % 3 == 0]  # type: ignore[attr-defined]
    assert sorted(history) == sorted(won)
    assert repo.read("shared").decode() == history[0]


def test_a_lost_race_is_run_again_or_told(repo: Repository) -> None:
    with repo.commit() as change:
        change.write("a", "1")
    slow, same, removing = repo.commit("slow"), repo.commit("same"), repo.commit("removing")
    slow.write("b", "slow")
    same.write("a", "same")
    removing.remove("a")
    with repo.commit("quick") as change:
        change.write("a", "quick")
    commit = slow.commit()
    assert repo.read("b", commit) == b"slow"
    assert repo.read("a", commit) == b"quick"
    with pytest.raises(ConflictError, match="someone else changed a on main of flights"):
        same.commit()
    with pytest.raises(ConflictError):
        removing.commit()
    assert repo.at("main").id == commit.id


DYING = """
import sys, os, signal
from millpond.lake.repository import places, objects
repo = places.find("flights")
kind = type(repo.objects)
done = kind.create
def create(self, key, data):
    done(self, key, data)
    if key.startswith(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
kind.create = create
with repo.commit() as change:
    change.write("a", os.urandom(1000))
"""


@pytest.mark.parametrize("when", ["packs/", "commits/"])
def test_a_writer_that_is_killed_leaves_the_old_state(
    repo: Repository, environment: dict[str, str], when: str
) -> None:
    with repo.commit() as change:
        change.write("a", "before")
    before = repo.at("main")
    died = subprocess.run([sys.executable, "-c", DYING, when], env={**os.environ, **environment}, timeout=60)
    assert died.returncode == -signal.SIGKILL
    again = places.find("flights", environment)
    assert again.at("main").id == before.id
    assert again.read("a") == b"before"
    with again.commit() as change:
        change.write("a", "after")
    assert again.read("a") == b"after"
    assert time.time() > before.time
