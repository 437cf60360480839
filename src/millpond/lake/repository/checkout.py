"""A folder that follows a branch: files to work on, and what was changed in them since.

A small file in it says which repository, branch and commit it is at. Nothing else is kept there: which files
changed is seen by their size and times, and by their content where those are not sure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from millpond.lake.repository.cache import Seen
from millpond.lake.repository.commit import Commit
from millpond.lake.repository.download import write_files
from millpond.lake.repository.folder import MARK, scan
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.tree import Entry, differences
from millpond.lake.store import ConflictError, digest_of
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

State = Literal["added", "changed", "removed"]
_SHOWN = 5


@dataclass(frozen=True)
class Checkout:
    """A folder and what it is at; `branch` is None for a tag or a commit, which are looked at only."""

    folder: Path
    repository: str
    branch: str | None
    commit: str

    @classmethod
    def find(cls, start: Path) -> Checkout:
        """The checkout that a folder is in.

        Raises:
            MillpondError: it is in none.
        """
        place = start.resolve()
        for folder in (place, *place.parents):
            mark = folder / MARK
            if mark.is_file():
                try:
                    found = json.loads(mark.read_bytes())
                    return cls(folder, found["repository"], found["branch"], found["commit"])
                except (ValueError, KeyError):
                    raise MillpondError(
                        f"{mark} cannot be read", hint="check the repository out into another folder"
                    ) from None
        raise MillpondError(
            f"{start} is not a checkout of a repository",
            hint="`millpond repo checkout NAME` makes one; `millpond repo put` commits any folder",
        )

    def write(self) -> None:
        """Note what the folder is at."""
        data = {"repository": self.repository, "branch": self.branch, "commit": self.commit}
        made = self.folder / f"{MARK}.part"
        made.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        made.replace(self.folder / MARK)

    def status(self, repository: Repository) -> dict[str, State]:
        """What differs from the commit, by path."""
        old = {entry.path: entry for entry in repository.tree(repository.commit_at(self.commit)).entries()}
        found = scan(self.folder)
        seen = repository.cache.files(self.folder)
        states: dict[str, State] = dict.fromkeys(old.keys() - found.keys(), "removed")
        states.update(dict.fromkeys(found.keys() - old.keys(), "added"))
        unsure = []
        for path in found.keys() & old.keys():
            entry, stat, known = old[path], found[path], seen.get(path)
            if stat.st_size != entry.size or bool(stat.st_mode & 0o100) != entry.executable:
                states[path] = "changed"
            elif known is None or not known.holds(stat):
                unsure.append(path)
            elif known.sha256 != entry.sha256:
                states[path] = "changed"
        noted = {}
        with ThreadPoolExecutor(4, "millpond-hash") as pool:
            digests = pool.map(lambda path: digest_of(self.folder / path), unsure)
            for path, sha256 in zip(unsure, digests, strict=True):
                noted[path] = Seen.of(found[path], sha256)
                if sha256 != old[path].sha256:
                    states[path] = "changed"
        repository.cache.saw(self.folder, noted, seen.keys() - found.keys())
        return dict(sorted(states.items()))

    def save(self, repository: Repository, message: str = "", *, branch: str = "", **options: Any) -> Commit:
        """Commit what was changed in the folder, removals too.

        Args:
            branch: commit to a new branch of this name, which starts where the folder is at.

        Raises:
            ConflictError: someone else changed the same files since.
            MillpondError: the folder is at a tag or a commit, and no branch was named.
        """
        base = repository.commit_at(self.commit)
        if branch and branch != self.branch:
            repository.branch(branch, base)
        target = branch or self.branch
        if target is None:
            raise MillpondError(
                f"{self.folder} is at the commit {base.short} and on no branch",
                hint="--branch NAME commits to a new one",
            )
        with repository.commit(message, target, base=base, **options) as change:
            change.put(self.folder, mirror=True)
        made = change.result
        assert made is not None
        # Others may have committed other files meanwhile: theirs come into the folder, too.
        if made.parents and made.parents[0] != base.id:
            before, theirs = repository.tree(base), repository.tree(made.parents[0])
            coming = list(differences(before, theirs))
            files = {self.folder / now.path: now for _, now in coming if now}
            gone = {was.path for was, now in coming if was and not now}
            _write(repository, self.folder, files, gone, Progress())
        replace(self, branch=target, commit=made.id).write()
        return made


def checkout(
    repository: Repository,
    ref: str,
    folder: Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Checkout, Commit]:
    """Bring a folder to a branch, a tag or a commit: only what differs is written, and what is gone removed.

    Args:
        force: overwrite what was changed in the folder.

    Raises:
        ConflictError: that would overwrite what was changed there.
        MillpondError: the folder has other files and is no checkout of this repository.
    """
    commit = repository.at(ref)
    branch = ref if repository.refs.find("branch", ref) else None
    folder = folder.resolve()
    if (folder / MARK).is_file():
        present = Checkout.find(folder)
        if present.repository != repository.name:
            raise MillpondError(f"{folder} is a checkout of {present.repository}", hint="name another folder")
        changed = {} if force else present.status(repository)
        coming = differences(repository.tree(repository.commit_at(present.commit)), repository.tree(commit))
        both = sorted(changed.keys() & {_path(pair) for pair in coming})
        if both:
            shown = ", ".join(both[:_SHOWN]) + (" and more" if len(both) > _SHOWN else "")
            raise ConflictError(
                f"{shown} in {folder} changed and would be overwritten",
                hint="`millpond repo commit` keeps the changes, --force gives them up",
                details=both,
            )
        kept = set(changed)
        old = {entry.path for entry in repository.tree(repository.commit_at(present.commit)).entries()}
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if not force and scan(folder):
            raise MillpondError(
                f"{folder} has files and is no checkout of {repository.name}",
                hint="name an empty folder, or --force to write among them",
            )
        kept = old = set()
    _bring(repository, folder, commit, progress or Progress(), kept=kept, old=old)
    made = Checkout(folder, repository.name, branch, commit.id)
    made.write()
    return made, commit


def _bring(
    repository: Repository,
    folder: Path,
    commit: Commit,
    progress: Progress,
    *,
    kept: set[str],
    old: set[str],
) -> None:
    """Write those files of a commit that a folder has not; remove those of `old` that the commit has not."""
    seen = repository.cache.files(folder)
    found = scan(folder)
    wanted = {entry.path: entry for entry in repository.tree(commit).entries()}
    todo = {}
    for path, entry in wanted.items():
        if path in kept:
            continue
        stat, known = found.get(path), seen.get(path)
        if stat is not None and stat.st_size == entry.size:
            sure = known is not None and known.holds(stat)
            if (known.sha256 if sure and known else digest_of(folder / path)) == entry.sha256:
                continue
        todo[folder / path] = entry
    _write(repository, folder, todo, old - wanted.keys() - kept, progress)


def _write(
    repository: Repository, folder: Path, files: Mapping[Path, Entry], gone: set[str], progress: Progress
) -> None:
    """Write some files and remove others, and remember what was written."""
    for path in gone:
        with suppress(FileNotFoundError):
            (folder / path).unlink()
    _prune(folder, gone)
    noted: dict[str, Seen] = {}
    write_files(repository.reader, files, progress, _noting(folder, noted))
    repository.cache.saw(folder, noted, gone)


def _noting(folder: Path, noted: dict[str, Seen]) -> Callable[[Path, Entry], None]:
    start = len(str(folder)) + 1

    def note(place: Path, entry: Entry) -> None:
        noted[str(place)[start:]] = Seen.of(place.stat(), entry.sha256)

    return note


def _prune(folder: Path, gone: set[str]) -> None:
    """Remove folders that are empty now."""
    for place in sorted({(folder / path).parent for path in gone}, key=lambda item: -len(item.parts)):
        current = place
        while current != folder:
            try:
                current.rmdir()
            except OSError:
                break
            current = current.parent


def _path(pair: tuple[Entry | None, Entry | None]) -> str:
    entry = pair[0] or pair[1]
    assert entry is not None
    return entry.path
