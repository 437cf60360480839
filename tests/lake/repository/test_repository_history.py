"""Branches, tags, logs, differences and merges."""

from __future__ import annotations

import pytest

from millpond.lake.repository.repository import Repository
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError


def write(repo: Repository, branch: str = "main", **files: str | None) -> str:
    """A commit with some files; None removes one."""
    with repo.commit(branch=branch) as change:
        for name, text in files.items():
            if text is None:
                change.remove(name)
            else:
                change.write(name, text)
    assert change.result is not None
    return change.result.id


def texts(repo: Repository, ref: str = "main") -> dict[str, str]:
    """All files."""
    return {entry.path: repo.read(entry.path, ref).decode() for entry in repo.files(ref=ref)}


def test_every_commit_stays_as_it_was(repo: Repository) -> None:
    first = write(repo, a="1", b="1")
    second = write(repo, a="2", b=None)
    assert texts(repo) == {"a": "2"}
    assert texts(repo, first) == texts(repo, first[:12]) == texts(repo, "main~1") == {"a": "1", "b": "1"}
    assert [commit.id for commit in repo.log()][:2] == [second, first]
    assert [commit.id for commit in repo.log("main", "b")] == [second, first]
    assert repo.at("main~2").tree is None
    with pytest.raises(MillpondError, match="before the first commit"):
        repo.at("main~3")


def test_branches_and_tags_are_names(repo: Repository) -> None:
    first = write(repo, a="1")
    repo.branch("try/it", "main")
    repo.tag("v1", "main")
    write(repo, "try/it", a="2")
    assert texts(repo, "v1") == texts(repo) == {"a": "1"}
    assert texts(repo, "try/it") == {"a": "2"}
    assert repo.refs.names("branch") == ["main", "try/it"]
    assert repo.at("v1").id == first
    with pytest.raises(MillpondError, match="already"):
        repo.tag("v1", "try/it")
    with pytest.raises(MillpondError, match="cannot be a branch's name"):
        repo.branch("../x")
    repo.refs.delete("branch", "try/it")
    with pytest.raises(MillpondError, match="no branch, tag or commit"):
        repo.at("try/it")


def test_a_difference_names_what_was_and_what_is(repo: Repository) -> None:
    first = write(repo, a="1", b="1", c="1")
    write(repo, a="2", b=None, d="1")
    found = [(was.path if was else None, now.path if now else None) for was, now in repo.diff(first)]
    assert found == [("a", "a"), ("b", None), (None, "d")]
    assert [pair[0] for pair in repo.diff("main", first, "d")] == [repo.entry("d")]


def test_a_merge_brings_what_one_side_changed(repo: Repository) -> None:
    write(repo, a="1", b="1", c="1")
    repo.branch("side")
    write(repo, a="main")
    write(repo, "side", b="side", c=None, d="new")
    merged = repo.merge("side")
    assert texts(repo) == {"a": "main", "b": "side", "d": "new"}
    assert len(merged.parents) == 2
    assert repo.merge("side").id == merged.id, "there is nothing more to bring"
    # The other way round the branch has nothing of its own, and moves on.
    assert repo.merge("main", "side").id == merged.id
    write(repo, "side", e="later")
    assert repo.merge("side").id == repo.at("side").id


def test_what_both_changed_is_told_and_nothing_moves(repo: Repository) -> None:
    write(repo, a="1", b="1", same="1")
    repo.branch("side")
    before = write(repo, a="main", b="main", same="2")
    write(repo, "side", a="side", b=None, same="2")
    with pytest.raises(ConflictError, match="both sides changed a, b") as caught:
        repo.merge("side")
    assert caught.value.details == ("a", "b")
    assert repo.at("main").id == before
    repo.merge("side", take=lambda path: "theirs" if path == "a" else "ours")
    assert texts(repo) == {"a": "side", "b": "main", "same": "2"}
