"""A folder that follows a branch."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.lake.repository.checkout import Checkout, checkout
from millpond.lake.repository.repository import Repository
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError


@pytest.fixture
def folder(repo: Repository, tmp_path: Path) -> Path:
    with repo.commit("first") as change:
        change.write("a", "1")
        change.write("raw/b", "1")
    place = tmp_path / "work"
    checkout(repo, "main", place)
    return place


def test_what_is_changed_is_seen_and_committed(repo: Repository, folder: Path) -> None:
    assert Checkout.find(folder).status(repo) == {}
    (folder / "a").write_text("2")
    (folder / "raw/b").unlink()
    (folder / "c").write_text("new")
    place = Checkout.find(folder / "raw")
    assert place.status(repo) == {"a": "changed", "c": "added", "raw/b": "removed"}
    commit = place.save(repo, "mine")
    assert commit.summary == {"added": 1, "changed": 1, "removed": 1}
    assert [entry.path for entry in repo.files()] == ["a", "c"]
    assert Checkout.find(folder).status(repo) == {}


def test_others_files_come_in_with_the_commit(repo: Repository, folder: Path) -> None:
    with repo.commit("theirs") as change:
        change.write("theirs", "1")
        change.remove("raw/b")
    (folder / "a").write_text("mine")
    Checkout.find(folder).save(repo, "mine")
    assert sorted(entry.path for entry in repo.files()) == ["a", "theirs"]
    assert (folder / "theirs").read_text() == "1"
    assert not (folder / "raw").exists()
    assert Checkout.find(folder).status(repo) == {}


def test_the_same_file_changed_by_two_is_told(repo: Repository, folder: Path) -> None:
    with repo.commit("theirs") as change:
        change.write("a", "theirs")
    (folder / "a").write_text("mine")
    with pytest.raises(ConflictError, match="someone else changed a on main"):
        Checkout.find(folder).save(repo)
    assert repo.read("a") == b"theirs"
    assert (folder / "a").read_text() == "mine"
    # On a branch of one's own it can be kept, and merged by a decision.
    Checkout.find(folder).save(repo, branch="mine")
    with pytest.raises(ConflictError):
        repo.merge("mine")
    repo.merge("mine", take=lambda path: "theirs")
    assert repo.read("a") == b"mine"


def test_going_elsewhere_writes_what_differs_and_keeps_what_was_changed(
    repo: Repository, folder: Path
) -> None:
    repo.branch("side")
    with repo.commit(branch="side") as change:
        change.write("a", "side")
        change.remove("raw/b")
    (folder / "own").write_text("not committed")
    untouched = (folder / "a").stat().st_ino
    checkout(repo, "main", folder)
    assert (folder / "a").stat().st_ino == untouched
    checkout(repo, "side", folder)
    assert ((folder / "a").read_text(), (folder / "raw").exists()) == ("side", False)
    assert (folder / "own").read_text() == "not committed"
    (folder / "a").write_text("changed")
    with pytest.raises(ConflictError, match="would be overwritten"):
        checkout(repo, "main", folder)
    checkout(repo, "main", folder, force=True)
    assert (folder / "a").read_text() == "1"


def test_a_tag_is_looked_at_only(repo: Repository, folder: Path, tmp_path: Path) -> None:
    repo.tag("v1")
    checkout(repo, "v1", tmp_path / "old")
    (tmp_path / "old/a").write_text("2")
    with pytest.raises(MillpondError, match="on no branch"):
        Checkout.find(tmp_path / "old").save(repo)
    with pytest.raises(MillpondError, match="has files and is no checkout"):
        checkout(repo, "v1", tmp_path)
    with pytest.raises(MillpondError, match="not a checkout"):
        Checkout.find(tmp_path)
