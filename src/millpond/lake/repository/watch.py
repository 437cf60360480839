"""Which commits a branch got since one last looked, each once, also after a restart.

Whoever starts something for every commit asks `Watch.new`, does it, and calls `Watch.done` for each commit.
What was done is kept in a file; a commit that was told and not done is told again, so doing has to bear that
(a run named after the commit does)::

    watch = Watch(folder / "triggers.json", "flights-on-main", lake.repo("flights"), "main", "raw/**")
    for commit in watch.new():
        start(run=f"flights-{commit.short}", commit=commit.id)
        watch.done(commit)

The first look marks where the branch is and tells nothing, unless it is asked to begin with that commit.
Where several processes look with one file, `Watch.held` lets one of them at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.lake.repository.commit import Commit

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

_lock = threading.Lock()


class Watch:
    """The place up to which the commits of a branch were dealt with.

    Args:
        file: where it is kept; several watches may share one.
        name: of this watch in the file, such as the pipeline's and the trigger's.
        patterns: only commits that changed such files are told.
        from_now: begin after the branch's present commit; else with it.
    """

    def __init__(
        self,
        file: Path,
        name: str,
        repository: Repository,
        branch: str = "main",
        *patterns: str,
        from_now: bool = True,
    ) -> None:
        self._file, self._name = file, name
        self._repository, self._branch, self._patterns = repository, branch, patterns
        self._from_now = from_now

    def new(self) -> list[Commit]:
        """The commits that were not dealt with, the oldest first. Merged commits count as one, their merge.

        Raises:
            MillpondError: there is no such branch, or the lake does not answer.
        """
        repository = self._repository
        head = repository.commit_at(repository.refs.get("branch", self._branch).commit)
        last = self._read().get(self._name)
        if last is None:
            if self._from_now:
                self._write(head.id)
                return []
            return [head]
        found: list[Commit] = []
        commit = head
        # First parents are the branch's own commits; what was merged came with its merge.
        while commit.id != last:
            found.append(commit)
            if not commit.parents:
                break
            commit = repository.commit_at(commit.parents[0])
        else:
            return self._meant(found)
        # The branch was deleted and made anew elsewhere: what it was is not known any more.
        return self._meant(found[:1])

    def done(self, commit: Commit) -> None:
        """Remember that a commit, and all before it, were dealt with."""
        self._write(commit.id)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Be the only process that looks; gives False where another one is."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(f".{self._file.name}.lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _meant(self, newest_first: list[Commit]) -> list[Commit]:
        commits = newest_first[::-1]
        if not self._patterns:
            return commits
        kept = []
        for commit in commits:
            old = commit.parents[0] if commit.parents else commit
            if self._repository.diff(old, commit, *self._patterns):
                kept.append(commit)
        return kept

    def _read(self) -> dict[str, str]:
        try:
            found: dict[str, str] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def _write(self, commit: str) -> None:
        with _lock:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({**self._read(), self._name: commit}, indent=1, sort_keys=True)
            made = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            made.write_text(text + "\n", encoding="utf-8")
            made.replace(self._file)
