"""Whether a repository is whole: every ref, commit and tree, and on request every byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from millpond.lake.repository.commit import Commit
from millpond.lake.repository.commit import key_of as commit_key
from millpond.lake.repository.index import name_of
from millpond.lake.repository.objects import AbsentError
from millpond.lake.repository.pack import Blob, DamagedError, expand, key_of
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.tree import Nodes, reach

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository


@dataclass
class Checked:
    """What was looked at, and what is wrong, a sentence each."""

    commits: int = 0
    packs: int = 0
    blobs: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)


def check(repository: Repository, *, data: bool = False, progress: Progress | None = None) -> Checked:
    """Look at everything that a branch or tag leads to, past all caches.

    Args:
        data: read every byte, too, and hold it against its digest.
    """
    return _Check(repository, progress or Progress()).made(data)


class _Check:
    def __init__(self, repository: Repository, progress: Progress) -> None:
        self._repository = repository
        self._progress = progress
        self._made = Checked()
        self._needed: dict[str, tuple[Blob, str | None]] = {}

    def made(self, data: bool) -> Checked:
        commits = list(self._commits())
        self._made.commits = len(commits)
        met: set[str] = set()
        for commit in commits:
            if commit.tree is not None:
                self._look_into(commit, met)
        self._made.blobs = len(self._needed)
        packs = {name_of(item.key): item.size for item in self._repository.objects.below("packs/")}
        self._made.packs = len(packs)
        indexes = self._repository.index.read(packs)
        where: dict[str, list[Blob]] = {}
        for pack, blobs in indexes.items():
            if blobs is None:
                self._made.problems.append(f"the pack {pack} has no index")
            for blob in blobs or ():
                where.setdefault(blob.id, []).append(blob)
        for id_, (blob, path) in self._needed.items():
            if id_ not in where and blob.pack not in packs:
                self._made.problems.append(
                    f"{path or 'a list of files'} needs {id_[:12]}, which is in no pack"
                )
        if data:
            self._read(packs)
        return self._made

    def _commits(self) -> Iterator[Commit]:
        repository = self._repository
        todo = []
        for ref in repository.refs.all():
            todo.append((ref.commit, f"the {ref.kind} {ref.name}"))
        met: set[str] = set()
        while todo:
            id_, asker = todo.pop()
            if id_ in met:
                continue
            met.add(id_)
            try:
                commit = Commit.read(id_, repository.objects.read(commit_key(id_)))
            except AbsentError:
                self._made.problems.append(f"{asker} leads to the commit {id_[:12]}, which is missing")
                continue
            except (DamagedError, ValueError, KeyError):
                self._made.problems.append(f"the commit {id_[:12]} is damaged")
                continue
            todo += [(parent, f"the commit {commit.short}") for parent in commit.parents]
            yield commit

    def _look_into(self, commit: Commit, met: set[str]) -> None:
        def load(blobs: Sequence[Blob]) -> dict[str, bytes]:
            return self._repository.reader.contents(blobs)

        assert commit.tree is not None
        try:
            for blob, path in reach(Nodes(load, _no), [commit.tree], met):
                if self._needed.setdefault(blob.id, (blob, path)) and path is not None:
                    self._needed[blob.id] = (blob, path)
        except (DamagedError, AbsentError) as error:
            self._made.problems.append(f"the files of the commit {commit.short}: {error.message}")

    def _read(self, packs: dict[str, int]) -> None:
        by_pack: dict[str, list[tuple[Blob, str | None]]] = {}
        for blob, path in self._needed.values():
            if blob.pack not in packs:
                moved = self._repository.cache.blobs([blob.id]).get(blob.id)
                blob = moved or blob
            by_pack.setdefault(blob.pack, []).append((blob, path))
        self._progress.expect(len(by_pack), sum(packs.get(pack, 0) for pack in by_pack))
        for pack, blobs in by_pack.items():
            objects, key = self._repository.objects, key_of(pack)
            whole: bytes | None = None
            try:
                whole = objects.read(key)
            except AbsentError:
                continue
            except DamagedError:
                # One that is encrypted is not given out in part: what of it is whole is asked for by itself.
                pass
            size = packs.get(pack, 0) if whole is None else len(whole)
            self._made.bytes += size
            self._progress.add(files=1, bytes=size)
            for blob, path in blobs:
                begin, end = blob.offset, blob.offset + blob.stored
                try:
                    data = objects.read_range(key, begin, blob.stored) if whole is None else whole[begin:end]
                    expand(blob, data)
                except DamagedError:
                    what = path or "a list of files"
                    self._made.problems.append(f"{what} is damaged: {blob.id[:12]} in the pack {pack}")


def _no(data: bytes) -> Blob:
    raise TypeError("a check changes no tree")
