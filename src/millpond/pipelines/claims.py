"""The places that runs write while they go on, so that two runs at once do not mix their results.

Runs that would write the same bytes to a place go on side by side; of others, the later one waits. The claims
of a project's runs lie beside their records, one file per run; that of a run which is gone counts no more.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from millpond.pipelines.record import alive
from millpond.pipelines.task import StepTask, digest

FOLDER = ".claims"


class Claims:
    """The claims of a project's runs.

    Args:
        runs: the folder of the run records.
    """

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self.folder = runs / FOLDER

    def claim(self, run: str, tasks: Collection[StepTask]) -> list[str]:
        """Claim all that a run will write, and give the runs before it that write there something else."""
        mine = places(run, tasks)
        if not mine:
            return []
        self.folder.mkdir(exist_ok=True)
        with (self.folder / "lock").open("wb") as lock:
            # The order in which runs get here is the order in which they wait: never in a ring.
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = []
            for file in sorted(self.folder.glob("*.json")):
                if not alive(self.runs / file.stem):
                    file.unlink(missing_ok=True)
                    continue
                with suppress(FileNotFoundError, ValueError):
                    theirs = json.loads(file.read_bytes())
                    if any(theirs.get(place, word) != word for place, word in mine.items()):
                        found.append(file.stem)
            (self.folder / f"{run}.json").write_text(json.dumps(mine), encoding="utf-8")
        return [other for other in found if other != run]

    def release(self, run: str) -> None:
        """The run writes no more."""
        (self.folder / f"{run}.json").unlink(missing_ok=True)


def places(run: str, tasks: Collection[StepTask]) -> dict[str, str]:
    """What a run writes: place -> a word that is equal where the bytes will be.

    It is equal for runs whose step has the same code and values, and so have all steps before it, as long as
    none of them has to run every time: what that gives, nobody knows.
    """
    words: dict[str, str] = {}
    found: dict[str, str] = {}
    for task in tasks:
        words[task.name] = digest(
            task.static, [words.get(name, "") for name in task.needs], "" if task.store else run
        )
        for port in task.written.values():
            if isinstance(path := port.keys.get("path"), str):
                found[f"{port.sink} {path}"] = words[task.name]
    return found
