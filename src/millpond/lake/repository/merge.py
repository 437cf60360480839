"""Merging branches: what both sides changed since their common commit, file by file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from millpond.lake.repository.change import Change
from millpond.lake.repository.commit import Commit
from millpond.lake.repository.tree import Entry, differences
from millpond.lake.store import ConflictError

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

Side = Literal["ours", "theirs"]
_SHOWN = 5


def merge(
    repository: Repository,
    source: str,
    into: str,
    *,
    message: str = "",
    take: Callable[[str], Side | None] = lambda path: None,
    **options: Any,
) -> Commit:
    """Bring the changes of one commit into a branch.

    Where the branch has none of its own it just moves on. A file that both changed differently is a conflict,
    unless `take` says whose is taken; removing and changing are different, too.

    Args:
        source: a branch, a tag or a commit.
        into: a branch.
        take: by path, ``ours`` for what the branch has, ``theirs`` for the source's.

    Returns:
        The branch's new commit, or its own where there was nothing to bring.

    Raises:
        ConflictError: files are in conflict; its details are their paths.
    """
    while True:
        ref = repository.refs.get("branch", into)
        ours, theirs = repository.commit_at(ref.commit), repository.at(source)
        base = repository.base(ours, theirs)
        if base is not None and base.id == theirs.id:
            return ours
        if base is not None and base.id == ours.id:
            try:
                repository.refs.move(ref, theirs.id)
            except ConflictError:
                continue
            return theirs
        changes = _decided(repository, base, ours, theirs, take, into)
        change = Change(
            repository,
            into,
            message or f"Merge {source} into {into}",
            base=ours,
            parents=(theirs.id,),
            **options,
        )
        change.apply(changes)
        return change.commit()


def _decided(
    repository: Repository,
    base: Commit | None,
    ours: Commit,
    theirs: Commit,
    take: Callable[[str], Side | None],
    into: str,
) -> dict[str, Entry | None]:
    before = repository.tree(base) if base else repository.tree(ours).empty()
    mine = _changed(before, repository.tree(ours))
    brought = _changed(before, repository.tree(theirs))
    conflicts = []
    changes = {}
    for path, entry in brought.items():
        own = mine.get(path, entry)
        if path in mine and (own.content if own else None) != (entry.content if entry else None):
            side = take(path)
            if side is None:
                conflicts.append(path)
            elif side == "theirs":
                changes[path] = entry
        else:
            changes[path] = entry
    if conflicts:
        shown = ", ".join(conflicts[:_SHOWN])
        more = f" and {len(conflicts) - _SHOWN} more" if len(conflicts) > _SHOWN else ""
        raise ConflictError(
            f"both sides changed {shown}{more}, so {into} stays as it is",
            hint="--take theirs or --take ours decides, for all or by path: --take theirs=raw/*",
            details=conflicts,
        )
    return changes


def _changed(before: Any, after: Any) -> dict[str, Entry | None]:
    return {(was or now).path: now for was, now in differences(before, after)}  # type: ignore[union-attr]
