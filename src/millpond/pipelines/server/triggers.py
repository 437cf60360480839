"""Runs for commits: each commit of a branch starts its pipeline once, also when the process dies in between.

The run is written down first, under a key that names the commit, and then the place in the branch is moved.
Died in between, the commit is told again, and finds its key taken.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.lake.repository.watch import Watch
from millpond.model.errors import MillpondError
from millpond.pipelines.server.ledger import Asked, Entry, Handed, Ledger

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

log = logging.getLogger(__name__)


class Triggers:
    """Looks at the branches that pipelines wait for.

    Args:
        folder: where the places in the branches are kept.
        find: opens a repository by its name.
    """

    def __init__(self, ledger: Ledger, folder: Path, find: Callable[[str], Repository]) -> None:
        self._ledger, self._folder, self._find = ledger, folder, find
        self._turn = threading.Lock()
        self.troubles: dict[tuple[str, str], str] = {}
        """What kept a look from being taken, by pipeline and trigger, for pages."""

    def look(self) -> list[Entry]:
        """Write down the runs for commits that are new."""
        return [entry for handed in self._ledger.pipelines() for entry in self.look_for(handed)]

    def look_for(self, handed: Handed) -> list[Entry]:
        """The same for one pipeline; the first look only marks where each branch is."""
        found: list[Entry] = []
        with self._turn:
            for trigger in handed.triggers:
                name = name_of(trigger)
                try:
                    found += self._starts(handed, trigger)
                    self.troubles.pop((handed.name, name), None)
                except (MillpondError, OSError) as error:
                    text = error.message if isinstance(error, MillpondError) else str(error)
                    if self.troubles.get((handed.name, name)) != text:
                        log.warning("%s waits for commits on %s: %s", handed.name, name, text)
                    self.troubles[handed.name, name] = text
        return found

    def _starts(self, handed: Handed, trigger: dict[str, Any]) -> list[Entry]:
        repository, name = self._find(trigger["repository"]), name_of(trigger)
        head = repository.commit_at(repository.refs.get("branch", trigger["branch"]).commit)
        # A branch that came into being after the hand-over has nothing that was there before.
        watch = Watch(
            self._file(handed.name),
            name,
            repository,
            trigger["branch"],
            from_now=head.time <= handed.at,
        )
        found = []
        for commit in watch.new():
            given = {trigger["parameter"]: commit.id} if trigger.get("parameter") else {}
            asked = Asked(
                handed.name,
                handed.code,
                {**handed.parameters, **given},
                f"the commit {commit.short} on {name}",
            )
            entry, new = self._ledger.start(asked, f"commit {handed.name} {name} {commit.id}")
            watch.done(commit)
            if new:
                log.info("%s is started for the commit %s on %s", entry.id, commit.short, name)
                found.append(entry)
        return found

    def forget(self, pipeline: str, keep: list[dict[str, Any]]) -> None:
        """Lose the places of triggers that a pipeline has no more: come back later, they begin anew."""
        file = self._file(pipeline)
        with self._turn:
            try:
                known: dict[str, str] = json.loads(file.read_bytes())
            except FileNotFoundError:
                return
            names = {name_of(trigger) for trigger in keep}
            kept = {name: commit for name, commit in known.items() if name in names}
            if kept != known:
                made = file.with_suffix(".new")
                made.write_text(json.dumps(kept), encoding="utf-8")
                made.replace(file)

    def _file(self, pipeline: str) -> Path:
        return self._folder / f"{pipeline}.json"


def name_of(trigger: dict[str, Any]) -> str:
    """A trigger in one word: ``repository@branch``."""
    return f"{trigger['repository']}@{trigger['branch']}"
