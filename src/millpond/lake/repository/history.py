"""Walking from commits to those they come from."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from millpond.lake.repository.commit import Commit

Find = Callable[[str], Commit]


def walk(find: Find, start: Commit) -> Iterator[Commit]:
    """A commit and all that led to it, the latest first, no parent before its child."""
    waiting = [(-start.time, 0, start)]
    met = {start.id}
    count = 0
    while waiting:
        _, _, commit = heapq.heappop(waiting)
        yield commit
        for parent in commit.parents:
            if parent not in met:
                met.add(parent)
                count += 1
                found = find(parent)
                # A clock that was wrong does not put a parent before its child.
                heapq.heappush(waiting, (max(-found.time, -commit.time), count, found))


def reaches(find: Find, start: Commit, goal: str) -> bool:
    """Whether a commit comes from another, or is it."""
    return any(commit.id == goal for commit in walk(find, start))


def base_of(find: Find, one: Commit, other: Commit) -> Commit | None:
    """The best common ancestor: one that no other common ancestor comes from."""
    theirs = {commit.id for commit in walk(find, other)}
    common = [commit for commit in walk(find, one) if commit.id in theirs]
    if not common:
        return None
    beneath: set[str] = set()
    for commit in reversed(common):
        beneath.update(commit.parents)
    best = [commit for commit in common if commit.id not in beneath]
    return max(best, key=lambda commit: (commit.time, commit.id))
