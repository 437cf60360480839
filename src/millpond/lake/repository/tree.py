"""What a commit holds: files by path, in a tree of which a change touches one leaf and the root.

The sorted list of files is cut into leaves where a checksum of a path says so, and so are the lists of
leaves above it, until one node is left. Where a cut falls depends on the paths alone, so the same files
give the same cuts, whatever was changed in between; commits share all leaves that they can.
"""

from __future__ import annotations

import json
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from millpond.lake.repository.pack import Blob

_FILES_PER_LEAF = 256
_NODES_PER_NODE = 64
_MOST = 4  # times as many at the most


class Entry(NamedTuple):
    """One version of one file. `blobs` in the order in which they make it up; `sha256` of the whole."""

    path: str
    sha256: str
    size: int
    executable: bool
    blobs: tuple[Blob, ...]

    @property
    def content(self) -> tuple[str, bool]:
        """What two versions are compared by."""
        return self.sha256, self.executable


class Node(NamedTuple):
    """A part of a tree: from which path to which, how many files of how many bytes, and its blob.

    `leaf` is whether the blob lists files or nodes again.
    """

    first: str
    last: str
    files: int
    bytes: int
    leaf: bool
    blob: Blob

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Node:
        """The inverse of `as_dict`."""
        blob = Blob(data["id"], data["pack"], data["offset"], data["stored"], data["length"])
        return cls(data["first"], data["last"], data["files"], data["bytes"], data["leaf"], blob)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        found = self._asdict()
        del found["blob"]
        return {**found, **self.blob._asdict()}


@dataclass(frozen=True)
class Nodes:
    """How nodes' bytes are read and written."""

    load: Callable[[Sequence[Blob]], dict[str, bytes]]
    save: Callable[[bytes], Blob]


class Tree:
    """The files of one commit. Nodes are read when they are looked into, and kept."""

    def __init__(self, nodes: Nodes, root: Node | None) -> None:
        self.root = root
        self._nodes = nodes
        self._read: dict[str, list[Entry]] = {}
        self._leaves: list[Node] | None = None

    @property
    def count(self) -> int:
        """How many files."""
        return self.root.files if self.root else 0

    @property
    def size(self) -> int:
        """Their bytes together."""
        return self.root.bytes if self.root else 0

    def empty(self) -> Tree:
        """A tree without files, beside this one."""
        return Tree(self._nodes, None)

    def leaves(self) -> list[Node]:
        """The lowest nodes, in order."""
        if self._leaves is None:
            found = [self.root] if self.root else []
            while any(not node.leaf for node in found):
                inner = [node.blob for node in found if not node.leaf]
                data = self._nodes.load(inner)
                found = [
                    child
                    for node in found
                    for child in ([node] if node.leaf else _nodes_of(data[node.blob.id]))
                ]
            self._leaves = found
        return self._leaves

    def entries(self, prefix: str = "") -> Iterator[Entry]:
        """The files below a prefix, in order; all without one."""
        leaves = [leaf for leaf in self.leaves() if leaf.last >= prefix and _may(leaf.first, prefix)]
        self._fill(leaves)
        for leaf in leaves:
            for entry in self._read[leaf.blob.id]:
                if entry.path.startswith(prefix):
                    yield entry

    def get(self, path: str) -> Entry | None:
        """The file at a path."""
        return self.several([path]).get(path)

    def several(self, paths: Iterable[str]) -> dict[str, Entry]:
        """The files at some paths, as far as they are there."""
        leaves = self.leaves()
        lasts = [leaf.last for leaf in leaves]
        wanted: dict[int, list[str]] = {}
        for path in paths:
            index = bisect_left(lasts, path)
            if index < len(leaves) and leaves[index].first <= path:
                wanted.setdefault(index, []).append(path)
        self._fill([leaves[index] for index in wanted])
        found = {}
        for index, some in wanted.items():
            entries = self._read[leaves[index].blob.id]
            names = [entry.path for entry in entries]
            for path in some:
                at = bisect_left(names, path)
                if at < len(names) and names[at] == path:
                    found[path] = entries[at]
        return found

    def has_folder(self, path: str) -> bool:
        """Whether files are below a path."""
        return next(self.entries(f"{path}/"), None) is not None

    def changed(self, changes: Mapping[str, Entry | None]) -> Tree:
        """This tree with some files added or replaced, and those with None removed; new nodes are saved."""
        if not changes:
            return self
        leaves = self.leaves()
        lasts = [leaf.last for leaf in leaves]
        touched: dict[int, dict[str, Entry | None]] = {}
        for path, entry in changes.items():
            index = min(bisect_left(lasts, path), max(len(leaves) - 1, 0))
            touched.setdefault(index, {})[path] = entry
        self._fill([leaves[index] for index in touched if index < len(leaves)])
        made: list[Node] = []
        index = 0
        while index < len(leaves) or (index == 0 and touched):
            if index not in touched:
                made.append(leaves[index])
                index += 1
                continue
            # From here on cut anew, until a cut falls where an untouched leaf begins.
            open_: list[Entry] = []
            while True:
                open_ = self._merged(leaves, index, touched.pop(index, {}), open_)
                index += 1
                full, open_ = _cut(open_, last=index >= len(leaves))
                made.extend(self._leaf(entries) for entries in full)
                if not open_ and index not in touched:
                    break
        return self._above(made)

    def _merged(
        self, leaves: list[Node], index: int, changes: Mapping[str, Entry | None], before: list[Entry]
    ) -> list[Entry]:
        present: list[Entry] = []
        if index < len(leaves):
            self._fill([leaves[index]])
            present = self._read[leaves[index].blob.id]
        merged: dict[str, Entry | None] = {entry.path: entry for entry in present}
        merged.update(changes)
        return before + [entry for _, entry in sorted(merged.items()) if entry is not None]

    def _leaf(self, entries: list[Entry]) -> Node:
        blob = self._nodes.save(_files_text(entries))
        size = sum(entry.size for entry in entries)
        self._read[blob.id] = entries
        return Node(entries[0].path, entries[-1].path, len(entries), size, True, blob)

    def _above(self, leaves: list[Node]) -> Tree:
        level = leaves
        while len(level) > 1:
            level = [self._inner(part) for part in _grouped(level)]
        tree = Tree(self._nodes, level[0] if level else None)
        tree._leaves = leaves
        tree._read = {leaf.blob.id: self._read[leaf.blob.id] for leaf in leaves if leaf.blob.id in self._read}
        return tree

    def _inner(self, nodes: list[Node]) -> Node:
        blob = self._nodes.save(_nodes_text(nodes))
        files, size = sum(node.files for node in nodes), sum(node.bytes for node in nodes)
        return Node(nodes[0].first, nodes[-1].last, files, size, False, blob)

    def _fill(self, leaves: Sequence[Node]) -> None:
        missing = [leaf.blob for leaf in leaves if leaf.blob.id not in self._read]
        if missing:
            for key, data in self._nodes.load(missing).items():
                self._read[key] = _files_of(data)


def reach(nodes: Nodes, roots: Iterable[Node], met: set[str]) -> Iterator[tuple[Blob, str | None]]:
    """Every blob that some trees need: nodes, and chunks with the path of a file that has them.

    Args:
        met: ids of nodes that were looked into; they are not again, and new ones are added.
    """
    found = [root for root in roots if root.blob.id not in met]
    while found:
        fresh = list({node.blob.id: node for node in found if node.blob.id not in met}.values())
        met.update(node.blob.id for node in fresh)
        data = nodes.load([node.blob for node in fresh])
        found = []
        for node in fresh:
            yield node.blob, None
            if node.leaf:
                for entry in _files_of(data[node.blob.id]):
                    for blob in entry.blobs:
                        yield blob, entry.path
            else:
                found += _nodes_of(data[node.blob.id])


def differences(old: Tree, new: Tree) -> Iterator[tuple[Entry | None, Entry | None]]:
    """The files that differ between two trees, in order, each as it was and as it is.

    Leaves that both have are not looked into.
    """
    mine, yours = old.leaves(), new.leaves()
    shared = {leaf.blob.id for leaf in mine} & {leaf.blob.id for leaf in yours}
    before = _entries(old, [leaf for leaf in mine if leaf.blob.id not in shared])
    after = _entries(new, [leaf for leaf in yours if leaf.blob.id not in shared])
    for path in sorted(before.keys() | after.keys()):
        was, now = before.get(path), after.get(path)
        if (was.content if was else None) != (now.content if now else None):
            yield was, now


def _entries(tree: Tree, leaves: list[Node]) -> dict[str, Entry]:
    tree._fill(leaves)
    return {entry.path: entry for leaf in leaves for entry in tree._read[leaf.blob.id]}


def _may(first: str, prefix: str) -> bool:
    return first < prefix or first.startswith(prefix)


def _ends(path: str, one_in: int, shift: int = 0) -> bool:
    return (zlib.crc32(path.encode()) >> shift) % one_in == 0


def _cut(entries: list[Entry], *, last: bool) -> tuple[list[list[Entry]], list[Entry]]:
    """Whole leaves, and what is left for the next one."""
    full: list[list[Entry]] = []
    part: list[Entry] = []
    weight = 0
    for entry in entries:
        part.append(entry)
        weight += max(len(entry.blobs), 1)
        if _ends(entry.path, _FILES_PER_LEAF) or weight >= _MOST * _FILES_PER_LEAF:
            full.append(part)
            part, weight = [], 0
    if last and part:
        full.append(part)
        part = []
    return full, part


def _grouped(nodes: list[Node]) -> list[list[Node]]:
    groups: list[list[Node]] = [[]]
    for node in nodes:
        groups[-1].append(node)
        if len(groups[-1]) > 1 and (
            _ends(node.last, _NODES_PER_NODE, 8) or len(groups[-1]) >= _MOST * _NODES_PER_NODE
        ):
            groups.append([])
    return [group for group in groups if group]


def _files_text(entries: Iterable[Entry]) -> bytes:
    packs: dict[str, int] = {}
    files = []
    for entry in entries:
        chunks = [
            [packs.setdefault(blob.pack, len(packs)), blob.offset, blob.stored, blob.length, blob.id]
            for blob in entry.blobs
        ]
        if len(chunks) == 1 and entry.blobs[0].id == entry.sha256:
            chunks[0].pop()
        item = {"path": entry.path, "sha256": entry.sha256, "size": entry.size, "chunks": chunks}
        files.append({**item, "executable": True} if entry.executable else item)
    return json.dumps({"packs": list(packs), "files": files}, separators=(",", ":")).encode()


def _files_of(data: bytes) -> list[Entry]:
    found = json.loads(data)
    packs = found["packs"]
    entries = []
    for item in found["files"]:
        sha256 = item["sha256"]
        blobs = tuple(
            Blob(chunk[4] if len(chunk) > 4 else sha256, packs[chunk[0]], chunk[1], chunk[2], chunk[3])
            for chunk in item["chunks"]
        )
        entries.append(Entry(item["path"], sha256, item["size"], item.get("executable", False), blobs))
    return entries


def _nodes_text(nodes: Iterable[Node]) -> bytes:
    return json.dumps({"nodes": [node.as_dict() for node in nodes]}, separators=(",", ":")).encode()


def _nodes_of(data: bytes) -> list[Node]:
    return [Node.from_dict(item) for item in json.loads(data)["nodes"]]


def by_folder(entries: Iterable[Entry], prefix: str) -> Iterator[tuple[str, list[Entry]]]:
    """Files right below a prefix by their names, and folders, ending with a slash, with all files in them."""

    def head(entry: Entry) -> str:
        name, slash, _ = entry.path[len(prefix) :].partition("/")
        return name + slash

    for name, group in groupby(entries, key=head):
        yield name, list(group)
