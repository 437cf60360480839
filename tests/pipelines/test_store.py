"""The file store keeps what an object store promises: whole writes, conditions, versions by content."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from millpond.lake.reference import LakePath, ModelReference, Reference
from millpond.lake.store import ConflictError, FileStore, open_store
from millpond.model.errors import MillpondError

PLACE = LakePath("raw", "a/b.txt")


def test_the_same_bytes_keep_their_version(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    first = store.put(PLACE, b"one")
    assert store.put(PLACE, b"one") == first
    assert store.put(PLACE, b"two").version != first.version
    assert store.read("raw/a/b.txt") == b"two"
    assert store.list("raw", "a/") == ["a/b.txt"]
    assert FileStore(tmp_path).stat(PLACE) == store.stat(PLACE)


def test_a_conditional_write_finds_out_that_it_lost(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    version = store.put(PLACE, b"one", expect="").version
    with pytest.raises(ConflictError):
        store.put(PLACE, b"two", expect="")
    store.put(PLACE, b"two", expect=version)
    with pytest.raises(ConflictError):
        store.put(PLACE, b"three", expect=version)
    assert store.read(PLACE) == b"two"


def test_of_many_first_writers_one_wins(tmp_path: Path) -> None:
    won: list[int] = []

    def write(number: int) -> None:
        try:
            FileStore(tmp_path).put(PLACE, str(number).encode(), expect="")
            won.append(number)
        except ConflictError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert FileStore(tmp_path).read(PLACE) == str(won[0]).encode()
    assert FileStore(tmp_path).list("raw") == ["a/b.txt"]


def test_of_many_who_replace_the_same_version_one_wins(tmp_path: Path) -> None:
    version = FileStore(tmp_path).put(PLACE, b"before").version
    won: list[int] = []

    def write(number: int) -> None:
        try:
            FileStore(tmp_path).put(PLACE, str(number).encode(), expect=version)
            won.append(number)
        except ConflictError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert FileStore(tmp_path).read(PLACE) == str(won[0]).encode()


def test_what_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MillpondError, match="s3://raw/nothing is not in the lake"):
        FileStore(tmp_path).read("raw/nothing")
    with pytest.raises(MillpondError, match="no lake is known here"):
        open_store({})


@pytest.mark.parametrize("path", ["raw", "raw/", "/raw/x", "file://x/y", "raw/../x", ""])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(MillpondError, match="not a path of the lake"):
        LakePath.parse(path)


def test_references_survive_json() -> None:
    reference = Reference("s3://raw/x.csv", "v", "d", 3, "table", 7, {"separator": ";"})
    assert Reference.from_dict({**reference.as_dict(), "later": 1}) == reference
    value = Reference.of_value({"a": [1, 2.5, None]}, "json")
    assert Reference.from_dict(value.as_dict()) == value
    with pytest.raises(MillpondError, match="travel by value"):
        Reference.of_value("x" * 70_000, "text")


def test_a_model_is_known_from_what_mlflow_returns() -> None:
    class Info:
        model_uri = "models:/m-123"
        registered_model_version = 3
        name = "tree"
        run_id = "r"

    assert ModelReference.of(Info()) == ModelReference("models:/tree/3", "tree", "3", "r")
    assert ModelReference.of({"uri": "models:/tree/3", "version": 3}).version == "3"
    with pytest.raises(TypeError):
        ModelReference.of(3)
