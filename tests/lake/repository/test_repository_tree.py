"""A tree is a dictionary of paths, cut alike whatever came before, and a change touches little of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.lake.repository.pack import Blob
from millpond.lake.repository.tree import Entry, Nodes, Tree, differences


class Memory:
    """Nodes in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.saved = 0

    def load(self, blobs: Sequence[Blob]) -> dict[str, bytes]:
        return {blob.id: self.kept[blob.id] for blob in blobs}

    def save(self, data: bytes) -> Blob:
        name = hashlib.sha256(data).hexdigest()
        self.saved += name not in self.kept
        self.kept[name] = data
        return Blob(name, "p", 0, len(data), len(data))

    @property
    def nodes(self) -> Nodes:
        return Nodes(self.load, self.save)


def entry(path: str, content: int = 0) -> Entry:
    sha256 = hashlib.sha256(f"{path}{content}".encode()).hexdigest()
    return Entry(path, sha256, content, False, (Blob(sha256, "p", 0, 1, 1),))


PATHS = st.integers(0, 3000).map(lambda number: f"d{number % 5}/{number:04}")
EDITS = st.lists(st.dictionaries(PATHS, st.none() | st.integers(0, 3), max_size=40), max_size=6)


@settings(deadline=None, max_examples=8)
@given(EDITS)
def test_edits_do_what_they_do_to_a_dictionary(edits: list[dict[str, int | None]]) -> None:
    memory = Memory()
    expected = {f"d{number % 5}/{number:04}": 0 for number in range(0, 3000, 6)}
    tree = Tree(memory.nodes, None).changed({path: entry(path) for path in expected})
    first = tree
    for edit in edits:
        tree = tree.changed(
            {path: None if value is None else entry(path, value) for path, value in edit.items()}
        )
        for path, value in edit.items():
            if value is None:
                expected.pop(path, None)
            else:
                expected[path] = value
    reread = Tree(memory.nodes, tree.root)
    assert {item.path: item.size for item in reread.entries()} == expected
    assert (reread.count, reread.size) == (len(expected), sum(expected.values()))
    assert {item.path for item in reread.entries("d3/")} == {
        path for path in expected if path.startswith("d3/")
    }
    again = Tree(memory.nodes, None).changed({path: entry(path, value) for path, value in expected.items()})
    assert again.root == tree.root, "the same files give the same tree, whatever came before"
    changed = {(was or now).path for was, now in differences(first, reread)}  # type: ignore[union-attr]
    old = {item.path: item.size for item in first.entries()}
    assert changed == {path for path in old.keys() | expected.keys() if old.get(path) != expected.get(path)}


def test_a_change_in_many_saves_a_leaf_and_what_is_above_it() -> None:
    memory = Memory()
    paths = [f"{number:06}" for number in range(10_000)]
    tree = Tree(memory.nodes, None).changed({path: entry(path) for path in paths})
    memory.saved = 0
    after = tree.changed({"001234": entry("001234", 1)})
    assert memory.saved <= 4
    assert after.get("001234") == entry("001234", 1)
    assert after.get("missing") is None
