"""Files go in and come out as they were, and what is there already is not sent again."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.cache import Cache
from millpond.lake.repository.repository import Repository
from millpond.model.errors import MillpondError


def folder_of(path: Path, files: dict[str, bytes]) -> Path:
    """A folder with some files."""
    for name, data in files.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return path


def bytes_of(repo: Repository) -> int:
    """What a repository takes in its store."""
    return sum(item.size for item in repo.objects.below("packs/"))


LARGE = random.Random(1).randbytes(9 << 20)
FILES = {"a.csv": b"x,y\n1,2\n", "raw/ä b.txt": b"text", "raw/deep/empty": b"", "large.bin": LARGE}


def test_what_was_put_is_got(repo: Repository, environment: dict[str, str], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", FILES)
    (source / "a.csv").chmod(0o755)
    commit = repo.put(source, message="first")
    assert (commit.message, commit.summary["added"]) == ("first", 4)
    # Somebody else on another machine, who has nothing in a cache.
    other = places.find("flights", environment, cache=Cache("other", tmp_path / "elsewhere"))
    other.get(to=tmp_path / "out")
    found = {
        place.relative_to(tmp_path / "out").as_posix(): place.read_bytes()
        for place in (tmp_path / "out").rglob("*")
        if place.is_file()
    }
    assert found == FILES
    assert os.access(tmp_path / "out/a.csv", os.X_OK)
    assert not os.access(tmp_path / "out/large.bin", os.X_OK)


def test_a_file_is_read_where_it_is_looked_at(repo: Repository) -> None:
    with repo.commit() as change:
        change.write("large.bin", LARGE)
        change.write("note.txt", "hello")
    assert repo.read("note.txt") == b"hello"
    with repo.open("large.bin") as file:
        file.seek(5 << 20)
        assert file.read(1000) == LARGE[5 << 20 :][:1000]
        file.seek(-7, os.SEEK_END)
        assert file.read() == LARGE[-7:]
        file.seek(0)
        assert file.read() == LARGE


def test_a_small_change_of_a_large_file_sends_little(repo: Repository, tmp_path: Path) -> None:
    data = bytearray(random.Random(2).randbytes(12 << 20))
    place = tmp_path / "big"
    place.write_bytes(data)
    repo.put(place)
    before = bytes_of(repo)
    data[1_000_000:1_001_000] = bytes(1000)
    del data[9_000_000:9_000_010]
    place.write_bytes(data)
    repo.put(place)
    assert repo.read("big") == bytes(data)
    # Two places changed, each in a chunk of at most 4 MiB.
    assert bytes_of(repo) - before < 9 << 20
    place.rename(tmp_path / "moved")
    after = bytes_of(repo)
    repo.put(tmp_path / "moved")
    assert bytes_of(repo) - after < 100_000


def test_one_change_among_many_files_sends_a_leaf_and_the_root(repo: Repository, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", {f"d{n % 7}/{n:04}": os.urandom(100) for n in range(700)})
    repo.put(source)
    before = bytes_of(repo)
    (source / "d3/0010").write_bytes(b"new")
    assert repo.put(source).summary == {"added": 0, "changed": 1, "removed": 0}
    assert bytes_of(repo) - before < 80_000
    again = repo.at("main")
    assert repo.put(source).id == again.id, "nothing changed, so nothing is committed"


def test_a_mirror_removes_what_is_gone(repo: Repository, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", {"a": b"1", "b": b"2"})
    repo.put(source, to="x")
    with repo.commit() as change:
        change.write("y/kept", b"3")
    (source / "a").unlink()
    repo.put(source, to="x", mirror=True)
    assert [entry.path for entry in repo.files()] == ["x/b", "y/kept"]


def test_a_file_of_the_same_size_and_time_is_seen_to_change(repo: Repository, tmp_path: Path) -> None:
    source = folder_of(tmp_path / "in", {"a": b"one"})
    for text in (b"one", b"two", b"six", b"ten"):
        (source / "a").write_bytes(text)
        repo.put(source)
        assert repo.read("a") == text


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["*.csv"], ["a.csv"]),
        (["**/*.csv"], ["a.csv", "raw/b.csv", "raw/deep/c.csv"]),
        (["raw"], ["raw/b.csv", "raw/deep/c.csv", "raw/x.txt"]),
        (["raw/[a-c].*", "a.csv"], ["a.csv", "raw/b.csv"]),
        (["raw/?.txt"], ["raw/x.txt"]),
    ],
)
def test_patterns_mean_files(patterns: list[str], found: list[str], tmp_path: Path) -> None:
    repo = places.create("patterns", {"MILLPOND_LAKE_ROOT": str(tmp_path)})
    with repo.commit() as change:
        for name in ("a.csv", "raw/b.csv", "raw/x.txt", "raw/deep/c.csv"):
            change.write(name, name)
    assert [entry.path for entry in repo.files(*patterns)] == found


def test_mistakes_are_told_with_what_was_meant(tmp_path: Path) -> None:
    names = {"MILLPOND_LAKE_ROOT": str(tmp_path), "MILLPOND_CACHE_DIR": str(tmp_path / "cache")}
    repo = places.create("flights", names)
    with repo.commit() as change:
        change.write("raw/flights.csv", "x")

    def hint(call: object, *arguments: object, **named: object) -> str | None:
        with pytest.raises(MillpondError) as caught:
            call(*arguments, **named)  # type: ignore[operator]
        return caught.value.hint

    assert hint(places.find, "flihgts", names) == "did you mean flights?"
    assert hint(repo.read, "raw/flight.csv") == "did you mean raw/flights.csv?"
    assert hint(repo.at, "mian") == "did you mean main?"
    assert "small letters" in str(hint(places.create, "No Name", names))
    with pytest.raises(MillpondError, match="already"):
        places.create("flights", names)
    with pytest.raises(MillpondError, match="not a path"), repo.commit() as change:
        change.write("../outside", b"")
    with pytest.raises(MillpondError, match="is a file, so nothing can be below it"), repo.commit() as change:
        change.write("raw/flights.csv/part", b"")
    with pytest.raises(MillpondError, match="is a folder"), repo.commit() as change:
        change.write("raw", b"")
    assert [entry.path for entry in repo.files()] == ["raw/flights.csv"]


def test_one_repository_of_two_is_deleted(repo: Repository, environment: dict[str, str]) -> None:
    places.create("other", environment)
    with repo.commit() as change:
        change.write("a", "stays")
    places.delete("other", environment)
    assert places.repositories(environment) == ["flights"]
    assert places.find("flights", environment).read("a") == b"stays"
