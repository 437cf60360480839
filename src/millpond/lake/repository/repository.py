"""A versioned repository: files under branches, in commits that stay as they were made.

All of it is objects below one prefix of an object store; there is no server. The layout is described in
docs/reference/repository-format.md, and a reader of thirty lines stands there.
"""

from __future__ import annotations

import getpass
import io
import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from millpond.lake.repository import paths
from millpond.lake.repository.cache import Cache
from millpond.lake.repository.change import Change
from millpond.lake.repository.commit import Commit, key_of
from millpond.lake.repository.download import Reader, write_files
from millpond.lake.repository.file import CommittedFile
from millpond.lake.repository.history import base_of, walk
from millpond.lake.repository.index import BlobIndex
from millpond.lake.repository.keys import KIND, KeyFile, begin, opened
from millpond.lake.repository.objects import AbsentError, Objects
from millpond.lake.repository.pack import Blob, Pack
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.refs import Refs, check_name
from millpond.lake.repository.sealed import SealedObjects
from millpond.lake.repository.tree import Entry, Nodes, Tree, differences
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError, did_you_mean

MAIN = "main"
FORMAT = 2
_PLAIN, _ENCRYPTED = 1, 2
DESCRIPTION = "repository.json"
_COMMIT = re.compile(r"[0-9a-f]{6,64}")
_REF = re.compile(r"(?P<name>.*?)(?P<back>(~\d*)*)")


class Repository:
    """One repository, opened.

    Args:
        name: what it is called.
        objects: those below its prefix.
        keys: those that open it where it is encrypted; else the user's.

    Raises:
        AbsentError: there is none.
        LockedError: it is encrypted, and none of the keys opens it.
        MillpondError: it was made by a later version of Millpond.
    """

    def __init__(
        self, name: str, objects: Objects, *, cache: Cache | None = None, keys: KeyFile | None = None
    ) -> None:
        self.name = name
        description = json.loads(objects.read(DESCRIPTION))
        if description["format"] > FORMAT:
            raise MillpondError(
                f"{name} has the format {description['format']}, and this Millpond knows {FORMAT}",
                hint="use a newer Millpond",
            )
        self.id = str(description["id"])
        self.encrypted = "encryption" in description
        if self.encrypted:
            objects = SealedObjects(objects, opened(objects, name, keys or KeyFile()).secret)
        self.objects = objects
        self.cache = cache or Cache(f"{objects.uri}#{self.id}")
        self.refs = Refs(objects)
        self.index = BlobIndex(objects, self.cache)
        self.reader = Reader(objects, self.index)
        self.author = _user()

    @classmethod
    def create(
        cls,
        name: str,
        objects: Objects,
        *,
        cache: Cache | None = None,
        encrypt: bool = False,
        keys: KeyFile | None = None,
    ) -> Repository:
        """Make a repository with an empty commit on the branch ``main``.

        Args:
            encrypt: have the store keep nothing that it can read, but for whoever has one of the `keys`.

        Raises:
            MillpondError: there is one of this name.
        """
        first, data = Commit.make(
            parents=(),
            tree=None,
            author=_user(),
            time=_now(),
            message=f"Create {name}",
            summary={},
            provenance={},
        )
        keys = keys or KeyFile()
        description: dict[str, Any] = {"format": _PLAIN, "id": secrets.token_hex(16), "name": name}
        if encrypt:
            description |= {"format": _ENCRYPTED, "encryption": KIND}
            if objects.read_version(DESCRIPTION) is None:
                begin(objects, keys)
        description["made_by"] = "millpond"
        try:
            objects.create(DESCRIPTION, (json.dumps(description, indent=1) + "\n").encode())
        except ConflictError:
            if objects.read_version(_branch_key(MAIN)) is not None:
                raise MillpondError(
                    f"there is a repository {name} already", hint=f"`millpond repo ls {name}` shows its files"
                ) from None
            # It was begun and not ended: then it is ended here.
        made = cls(name, objects, cache=cache, keys=keys)
        made.save_commit(first, data)
        made.refs.create("branch", MAIN, first.id)
        return made

    # Finding

    def at(self, ref: str | Commit = MAIN) -> Commit:
        """The commit that a branch, a tag, or a commit's id or its beginning means; ``~2`` goes two back.

        Raises:
            MillpondError: it means nothing, or more than one.
        """
        if isinstance(ref, Commit):
            return ref
        found = _REF.fullmatch(ref)
        assert found is not None
        commit = self._named(found["name"])
        for part in re.findall(r"~(\d*)", found["back"]):
            for _ in range(int(part or 1)):
                if not commit.parents:
                    raise MillpondError(f"{ref} goes back before the first commit of {self.name}")
                commit = self.commit_at(commit.parents[0])
        return commit

    def _named(self, name: str) -> Commit:
        ref = self.refs.find("branch", name) or self.refs.find("tag", name)
        if ref is not None:
            return self.commit_at(ref.commit)
        if _COMMIT.fullmatch(name):
            if len(name) == 64:
                return self.commit_at(name)
            listed = self.objects.below(f"commits/{name}")
            ids = [item.key.removeprefix("commits/").removesuffix(".json") for item in listed]
            if len(ids) == 1:
                return self.commit_at(ids[0])
            if ids:
                raise MillpondError(f"{name} is the beginning of {len(ids)} commits of {self.name}")
        known = [*self.refs.names("branch"), *self.refs.names("tag")]
        raise MillpondError(
            f"{self.name} has no branch, tag or commit {name}", hint=did_you_mean(name, known)
        )

    def commit_at(self, id: str) -> Commit:  # noqa: A002 - the field's name
        """A commit by its whole id.

        Raises:
            MillpondError: there is none, or it is damaged.
        """
        found = self.cache.documents([id]).get(id)
        if found is None:
            try:
                found = self.objects.read(key_of(id))
            except AbsentError:
                raise MillpondError(f"{self.name} has no commit {id[:12]}") from None
            commit = Commit.read(id, found)
            self.cache.keep({id: found})
            return commit
        return Commit.read(id, found)

    def save_commit(self, commit: Commit, data: bytes) -> None:
        """Write a commit; one of this id has the same bytes."""
        with suppress(ConflictError):
            self.objects.create(key_of(commit.id), data)
        self.cache.keep({commit.id: data})

    def tree(self, ref: str | Commit = MAIN) -> Tree:
        """The files of a commit."""

        def save(data: bytes) -> Blob:
            raise TypeError("a commit's tree is not written to; a Change is")

        return Tree(Nodes(self.load_nodes, save), self.at(ref).tree)

    def load_nodes(self, blobs: Sequence[Blob]) -> dict[str, bytes]:
        """Nodes of trees, from the cache or the store."""
        found = self.cache.documents(blob.id for blob in blobs)
        missing = [blob for blob in blobs if blob.id not in found]
        if missing:
            made = self.reader.contents(missing)
            self.cache.keep(made)
            found.update(made)
        return found

    # Reading

    def files(self, *patterns: str, ref: str | Commit = MAIN) -> list[Entry]:
        """The files that some patterns mean; all without one.

        Raises:
            MillpondError: a pattern means none.
        """
        commit = self.at(ref)
        found = list(self.tree(commit).entries(paths.literal_start(patterns)))
        for pattern in patterns:
            if paths.clean(pattern, folder=True) and not any(map(paths.matcher([pattern]), _paths(found))):
                every = _paths(self.tree(commit).entries())
                raise paths.absent(pattern, every, f"{self.name}@{_shown(ref)}")
        meant = paths.matcher(patterns)
        return [entry for entry in found if meant(entry.path)]

    def entry(self, path: str, ref: str | Commit = MAIN) -> Entry:
        """One file.

        Raises:
            MillpondError: there is none at this path.
        """
        name = paths.clean(path)
        found = self.tree(ref).get(name)
        if found is None:
            raise paths.absent(name, _paths(self.tree(ref).entries()), f"{self.name}@{_shown(ref)}")
        return found

    def open(self, path: str, ref: str | Commit = MAIN) -> BinaryIO:
        """A file, open for reading; seekable, fetched as it is read."""
        return io.BufferedReader(CommittedFile(self.reader, self.entry(path, ref)), 1 << 20)

    def read(self, path: str, ref: str | Commit = MAIN) -> bytes:
        """The bytes of a file."""
        entry = self.entry(path, ref)
        found = self.reader.contents(entry.blobs)
        return b"".join(found[blob.id] for blob in entry.blobs)

    def get(
        self,
        *patterns: str,
        to: str | Path = ".",
        ref: str | Commit = MAIN,
        progress: Progress | None = None,
    ) -> list[Path]:
        """Write files to a folder, at the paths that they have here; returns where they are."""
        folder = Path(to).expanduser()
        found = {folder / entry.path: entry for entry in self.files(*patterns, ref=ref)}
        write_files(self.reader, found, progress or Progress())
        return list(found)

    def fetch(self, path: str, target: Path, ref: str | Commit = MAIN) -> Entry:
        """Write one file to one place."""
        entry = self.entry(path, ref)
        write_files(self.reader, {target: entry}, Progress())
        return entry

    # Writing

    def commit(self, message: str = "", branch: str = MAIN, **options: Any) -> Change:
        """A change of a branch in steps: ``with repo.commit("why") as change: change.put("data/")``."""
        return Change(self, branch, message, **options)

    def put(
        self, *sources: str | Path, to: str = "", branch: str = MAIN, message: str = "", mirror: bool = False
    ) -> Commit:
        """Add files and folders in one commit."""
        with self.commit(message, branch) as change:
            for source in sources:
                change.put(source, to, mirror=mirror)
        assert change.result is not None
        return change.result

    def branch(self, name: str, at: str | Commit = MAIN) -> Commit:
        """Make a branch."""
        commit = self.at(at)
        self.refs.create("branch", name, commit.id)
        return commit

    def tag(self, name: str, at: str | Commit = MAIN) -> Commit:
        """Make a tag: a name that stays where it is."""
        check_name(name, "tag")
        commit = self.at(at)
        self.refs.create("tag", name, commit.id)
        return commit

    # History

    def log(self, ref: str | Commit = MAIN, *patterns: str) -> Iterator[Commit]:
        """The commits that led to one, the newest first; with patterns those that changed such files."""
        meant = paths.matcher(patterns)
        for commit in walk(self.commit_at, self.at(ref)):
            if not patterns or any(meant(path) for path in self._changed_by(commit)):
                yield commit

    def _changed_by(self, commit: Commit) -> Iterator[str]:
        tree = self.tree(commit)
        before = self.tree(commit.parents[0]) if commit.parents else tree.empty()
        for was, now in differences(before, tree):
            yield (was or now).path  # type: ignore[union-attr] # one of them is there

    def diff(
        self, old: str | Commit, new: str | Commit = MAIN, *patterns: str
    ) -> list[tuple[Entry | None, Entry | None]]:
        """The files that differ, each as it was and as it is."""
        meant = paths.matcher(patterns)
        found = differences(self.tree(old), self.tree(new))
        return [(was, now) for was, now in found if meant((was or now).path)]  # type: ignore[union-attr]

    def merge(self, source: str, into: str = MAIN, **options: Any) -> Commit:
        """Bring what was changed on a branch into another; see `millpond.lake.repository.merge`."""
        from millpond.lake.repository.merge import merge

        return merge(self, source, into, **options)

    def base(self, one: Commit, other: Commit) -> Commit | None:
        """The latest commit that both come from."""
        return base_of(self.commit_at, one, other)

    def learn(self, pack: Pack) -> None:
        """Remember a pack that was just sent."""
        self.cache.know(pack.name, pack.blobs)

    def as_dict(self) -> Mapping[str, Any]:
        """Plain data for scripts."""
        head = self.at(MAIN) if self.refs.find("branch", MAIN) else None
        return {
            "name": self.name,
            "uri": self.objects.uri,
            "encrypted": self.encrypted,
            "branches": self.refs.names("branch"),
            "tags": self.refs.names("tag"),
            "head": head.as_dict() if head else None,
        }


def _paths(entries: Iterable[Entry]) -> Iterator[str]:
    return (entry.path for entry in entries)


def _shown(ref: str | Commit) -> str:
    return ref.short if isinstance(ref, Commit) else ref


def _branch_key(name: str) -> str:
    return f"refs/heads/{name}.json"


def _now() -> float:
    import time

    return time.time()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
