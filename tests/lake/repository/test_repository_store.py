"""Paths with a version are paths of the lake like any, and a watch tells every commit once."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.lake.reference import LakePath
from millpond.lake.repository.repository import Repository
from millpond.lake.repository.watch import Watch
from millpond.lake.store import ConflictError, open_store
from millpond.model.errors import MillpondError


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("lake://raw/x.csv", "s3://raw/x.csv"),
        ("flights@main/raw/x.csv", "lake://flights@main/raw/x.csv"),
        ("lake://flights@try%2Fit/x.csv", "lake://flights@try%2Fit/x.csv"),
    ],
)
def test_addresses_are_read(text: str, uri: str) -> None:
    assert LakePath.parse(text).uri == uri


@pytest.mark.parametrize("text", ["lake://flights@/x", "lake://@main/x", "lake://flights@main", "lake://x"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(MillpondError, match="not a path"):
        LakePath.parse(text)


def test_the_store_takes_versions(repo: Repository, environment: dict[str, str], tmp_path: Path) -> None:
    store = open_store(environment)
    place = LakePath.parse("lake://flights@main/raw/x.csv")
    assert store.stat(place) is None
    first = store.put(place, b"1", expect="")
    assert first.version == repo.at("main").id
    assert store.put(place, b"1").version == first.version, "the same bytes make no commit"
    with pytest.raises(ConflictError):
        store.put(place, b"2", expect="")
    second = store.put(place, b"2", expect=first.version)
    with pytest.raises(ConflictError):
        store.put(place, b"3", expect=first.version)
    assert store.read(place) == b"2"
    assert store.read(place.at(first.version)) == b"1"
    store.fetch(place.at(second.version), tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"2"
    assert store.list("flights@main", "raw/") == ["raw/x.csv"]
    assert store.stat(LakePath.parse(f"flights@{first.version[:12]}/raw/x.csv")) == store.stat(
        place.at(first.version)
    )


def test_a_watch_tells_every_commit_once(repo: Repository, tmp_path: Path) -> None:
    def write(path: str, text: str, branch: str = "main") -> str:
        with repo.commit(branch=branch) as change:
            change.write(path, text)
        assert change.result
        return change.result.id

    def watch() -> Watch:
        """As after a restart."""
        return Watch(tmp_path / "triggers.json", "flow", repo, "main", "raw")

    write("raw/a", "before")
    assert watch().new() == []
    first = write("raw/a", "1")
    write("other", "1")
    second = write("raw/b", "1")
    assert [commit.id for commit in watch().new()] == [first, second]
    watch().done(watch().new()[0])
    assert [commit.id for commit in watch().new()] == [second], "what was told and not done is told again"
    watch().done(repo.at(second))
    assert watch().new() == []
    repo.branch("side")
    write("raw/c", "1", "side")
    write("raw/d", "1", "side")
    write("other", "2")
    merged = repo.merge("side")
    assert [commit.id for commit in watch().new()] == [merged.id]
    with watch().held() as mine, watch().held() as second_one:
        assert (mine, second_one) == (True, False)
