"""A commit in the making: files are gathered, sent and put into the tree, and the branch moves at the end.

Until the branch moves nothing is seen of it. When someone else moved the branch meanwhile, the change is made
again on top of theirs if the two touch different files; if they touch the same, it is told and nothing moves.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from millpond.lake.repository import paths, provenance
from millpond.lake.repository.cache import Seen
from millpond.lake.repository.commit import Commit
from millpond.lake.repository.folder import scan
from millpond.lake.repository.pack import Pack
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.refs import Ref
from millpond.lake.repository.tree import Entry, Nodes, Tree, differences
from millpond.lake.repository.upload import Packer
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

_PATIENCE = 120.0
# Below this many new bytes it is cheaper to send some twice than to ask what others have sent.
_WORTH_ASKING = 4 << 20
_SHOWN = 5


class Change:
    """Files to add, replace and remove on a branch. As a context it commits at its end, unless that fails.

    Args:
        base: the commit that the user saw; the branch's own where None. What others changed since then is
            kept, or told where it is the same file.
        message: why; made up from the changes where it is empty.
    """

    def __init__(
        self,
        repository: Repository,
        branch: str,
        message: str = "",
        *,
        base: Commit | None = None,
        author: str = "",
        facts: Mapping[str, Any] | None = None,
        parents: Iterable[str] = (),
        progress: Progress | None = None,
    ) -> None:
        self.repository, self.branch, self.message = repository, branch, message
        self.author = author or repository.author
        self.progress = progress or Progress()
        self.result: Commit | None = None
        self._generation = repository.index.begin()
        self._asked = False
        ref = repository.refs.get("branch", branch)
        self.base = base or repository.commit_at(ref.commit)
        self._facts = {**provenance.current(), **(facts or {})}
        self._parents = tuple(parents)
        self._changes: dict[str, Entry | None] = {}
        self._seen: dict[Path, dict[str, Seen]] = {}
        self._documents: dict[str, bytes] = {}
        self._packer = Packer(repository.objects, repository.index.known, self._arrived, self.progress)
        self._nodes = Nodes(repository.load_nodes, self._save)
        self._tree: Tree | None = None

    @property
    def tree(self) -> Tree:
        """The files of the base."""
        if self._tree is None:
            self._tree = Tree(self._nodes, self.base.tree)
        return self._tree

    def put(self, source: str | Path, path: str = "", *, mirror: bool = False) -> None:
        """Add a file, or all files below a folder.

        Args:
            path: where: a file's own path, or a folder's where it ends with a slash or `source` is a folder.
            mirror: remove what is below `path` and not in the folder.

        Raises:
            MillpondError: there is no such file, or it cannot be read.
        """
        place = Path(source).expanduser()
        if place.is_dir():
            self._put_folder(place.resolve(), paths.clean(path, folder=True), mirror)
            return
        if not place.exists():
            raise MillpondError(f"there is no file {source}")
        name = f"{path}{place.name}" if path.endswith("/") or not path else path
        self._ask(place.stat().st_size)
        self.progress.expect(1, place.stat().st_size)
        entry, _ = self._packer.file(paths.clean(name), place)
        self._changes[entry.path] = entry

    def write(self, path: str, data: bytes | str) -> None:
        """Add a file with some bytes."""
        body = data.encode() if isinstance(data, str) else bytes(data)
        name = paths.clean(path)
        blob = self._packer.add(body) if body else None
        sha256 = blob.id if blob else _EMPTY
        self._changes[name] = Entry(name, sha256, len(body), False, (blob,) if blob else ())

    def remove(self, *patterns: str) -> int:
        """Remove files by path, folder or pattern; returns how many.

        Raises:
            MillpondError: a pattern means none.
        """
        count = 0
        for pattern in patterns:
            meant = paths.matcher([pattern])
            found = [
                entry.path for entry in self.tree.entries(paths.literal_start([pattern])) if meant(entry.path)
            ]
            found += [
                path for path, entry in self._changes.items() if entry and meant(path) and path not in found
            ]
            if not found:
                raise paths.absent(
                    pattern,
                    (entry.path for entry in self.tree.entries()),
                    f"{self.repository.name}@{self.branch}",
                )
            self._changes.update(dict.fromkeys(found))
            count += len(found)
        return count

    def apply(self, changes: Mapping[str, Entry | None]) -> None:
        """Take over entries whose blobs are in the repository."""
        self._changes.update(changes)

    def commit(self) -> Commit:
        """Move the branch; returns the new commit, or the branch's own where nothing changed.

        Raises:
            ConflictError: someone else changed the same files since the base.
            MillpondError: something did not arrive.
        """
        try:
            self.result = self._land()
        finally:
            self._packer.close()
        for root, files in self._seen.items():
            self.repository.cache.saw(root, files)
        return self.result

    def cancel(self) -> None:
        """Give it up; what was sent is removed by the next clean-up."""
        self._packer.close()

    def __enter__(self) -> Change:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.cancel()

    def _put_folder(self, root: Path, prefix: str, mirror: bool) -> None:
        start = f"{prefix}/" if prefix else ""
        found = scan(root)
        seen = self.repository.cache.files(root)
        old = {entry.path[len(start) :]: entry for entry in self.tree.entries(start)}
        noted = self._seen.setdefault(root, {})
        todo = []
        for path, stat in found.items():
            entry, known = old.get(path), seen.get(path)
            executable = bool(stat.st_mode & 0o100)
            if known is not None and known.holds(stat):
                if entry is not None and entry.content == (known.sha256, executable):
                    continue
                blob = self.repository.index.known(known.sha256) if stat.st_size else None
                if blob is not None and blob.length == stat.st_size:
                    name = start + path
                    self._changes[name] = Entry(name, known.sha256, blob.length, executable, (blob,))
                    continue
            todo.append(path)
        size = sum(found[path].st_size for path in todo)
        self.progress.expect(len(todo), size)
        self._ask(size)
        for path in todo:
            entry, stat = self._packer.file(start + path, root / path)
            noted[path] = Seen.of(stat, entry.sha256)
            before = old.get(path)
            if before is None or before.content != entry.content:
                self._changes[entry.path] = entry
        if mirror:
            self._changes.update({start + path: None for path in old.keys() - found.keys()})

    def _ask(self, size: int) -> None:
        """Before much is sent, learn what others have sent."""
        if size >= _WORTH_ASKING and not self._asked:
            self._asked = True
            self.repository.index.refresh()

    def _arrived(self, pack: Pack) -> None:
        self.repository.cache.know(pack.name, pack.blobs)

    def _save(self, data: bytes) -> Any:
        blob = self._packer.add(data)
        self._documents[blob.id] = data
        return blob

    def _land(self) -> Commit:
        repository = self.repository
        deadline = time.monotonic() + _PATIENCE
        pause = 0.005
        while True:
            ref = repository.refs.get("branch", self.branch)
            head = self.base if ref.commit == self.base.id else repository.commit_at(ref.commit)
            tree = self.tree if head.id == self.base.id else Tree(self._nodes, head.tree)
            if head.id != self.base.id:
                self._check_against(tree)
            present = tree.several(self._changes)
            changes = {
                path: entry
                for path, entry in self._changes.items()
                if (entry.content if entry else None) != (present[path].content if path in present else None)
            }
            if not changes and not self._parents:
                self._packer.flush()
                return head
            made = tree.changed(changes)
            _check_places(made, [path for path, entry in changes.items() if entry is not None])
            self._packer.flush()
            repository.cache.keep(self._documents)
            added = sum(path not in present for path in changes)
            removed = sum(entry is None for entry in changes.values())
            summary = {"added": added, "changed": len(changes) - added - removed, "removed": removed}
            try:
                return self._move(ref, head, made, summary)
            except ConflictError:
                if time.monotonic() > deadline:
                    raise MillpondError(
                        f"{self.branch} of {repository.name} moves too often to be written to",
                        hint="try again, or write to a branch of your own and merge it",
                    ) from None
                time.sleep(random.uniform(0, pause))
                pause = min(pause * 2, 0.5)

    def _move(self, ref: Ref, head: Commit, tree: Tree, summary: Mapping[str, int]) -> Commit:
        repository = self.repository
        if repository.index.generation() != self._generation:
            raise MillpondError(
                f"{repository.name} was cleaned up while this was written", hint="try again: nothing is lost"
            )
        commit, data = Commit.make(
            parents=(head.id, *self._parents),
            tree=tree.root,
            author=self.author,
            time=time.time(),
            message=self.message or _message(summary, self._changes),
            summary=summary,
            provenance=self._facts,
        )
        # The id is the digest of these bytes: one that is there already has them.
        repository.save_commit(commit, data)
        repository.refs.move(ref, commit.id)
        return commit

    def _check_against(self, tree: Tree) -> None:
        """Whether what others did since the base leaves this change's files alone."""
        clashes = []
        for was, now in differences(self.tree, tree):
            path = (was or now).path  # type: ignore[union-attr] # one of them is there
            if path in self._changes:
                mine = self._changes[path]
                if (mine.content if mine else None) != (now.content if now else None):
                    clashes.append(path)
        if clashes:
            shown = ", ".join(clashes[:_SHOWN]) + (
                f" and {len(clashes) - _SHOWN} more" if len(clashes) > _SHOWN else ""
            )
            raise ConflictError(
                f"someone else changed {shown} on {self.branch} of {self.repository.name} since you began",
                hint="look at theirs and put yours again, or commit to a branch of your own and merge it",
                details=clashes,
            )


_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def _check_places(tree: Tree, added: Iterable[str]) -> None:
    """A path is a file or a folder, not both.

    Raises:
        ConflictError: one is both.
    """
    names = set(added)
    folders = {path[:at] for path in names for at in range(len(path)) if path[at] == "/"}
    if found := sorted(tree.several(folders)):
        raise ConflictError(f"{found[0]} is a file, so nothing can be below it", hint="remove it first")
    for path in names:
        if path in folders or (len(names) < _MANY and tree.has_folder(path)):
            raise ConflictError(f"{path} is a folder, so it cannot be a file", hint="remove it first")
    if len(names) >= _MANY:
        ancestors = {entry.path.rsplit("/", 1)[0] for entry in tree.entries() if "/" in entry.path}
        every = {part for path in ancestors for part in _above(path)}
        if both := sorted(every & names):
            raise ConflictError(f"{both[0]} is a folder, so it cannot be a file", hint="remove it first")


_MANY = 200


def _above(path: str) -> Iterator[str]:
    yield path
    while "/" in path:
        path = path.rsplit("/", 1)[0]
        yield path


def _message(summary: Mapping[str, int], changes: Mapping[str, Entry | None]) -> str:
    if len(changes) == 1:
        ((path, entry),) = changes.items()
        return f"{'Remove' if entry is None else 'Put'} {path}"
    words: list[str] = [f"{verb} {summary[key]}" for key, verb in _VERBS if summary[key]]
    return f"{', '.join(words)} files".capitalize()


_VERBS = (("added", "add"), ("changed", "change"), ("removed", "remove"))
