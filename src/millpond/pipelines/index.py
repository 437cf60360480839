"""What earlier runs know: key -> outputs, in a small SQLite file beside the records.

The records are the truth. Runs whose runner was killed are taken in the next time somebody looks.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from millpond.pipelines.journal import Journal
from millpond.pipelines.task import Outcome

FILE = "results.sqlite"
_KEPT = 50
_TABLES = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, static TEXT NOT NULL, run TEXT NOT NULL, step TEXT NOT NULL, outputs TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_static ON results (static, run);
CREATE TABLE IF NOT EXISTS open_runs (run TEXT PRIMARY KEY, statics TEXT NOT NULL) WITHOUT ROWID;
"""


class Index:
    """The results of a project's runs.

    Args:
        folder: of the run records.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / FILE
        with closing(sqlite3.connect(file, timeout=30)) as database:
            try:
                database.executescript(_TABLES)
            except sqlite3.DatabaseError:
                database.close()
                file.unlink()  # damaged; everything in it can be computed again
                with closing(sqlite3.connect(file, timeout=30)) as fresh:
                    fresh.executescript(_TABLES)
                    yield fresh
                return
            # The file may lose its last transactions in a power cut: then a step runs once more.
            database.execute("PRAGMA synchronous = OFF")
            yield database

    def begin(self, run: str, statics: dict[str, str]) -> dict[str, dict[str, Any]]:
        """Note that a run begins, and return what may serve it: key -> its outputs and run.

        Args:
            run: the run's id.
            statics: step -> the static part of its key.
        """
        with self._open() as database, database:
            self._collect(database, run)
            database.execute("INSERT OR REPLACE INTO open_runs VALUES (?, ?)", (run, json.dumps(statics)))
            found: dict[str, dict[str, Any]] = {}
            for static in set(statics.values()):
                rows = database.execute(
                    "SELECT key, run, outputs FROM results WHERE static = ? ORDER BY run DESC LIMIT ?",
                    (static, _KEPT),
                )
                found |= {
                    key: {"run": origin, "outputs": json.loads(outputs)} for key, origin, outputs in rows
                }
            return found

    def end(self, run: str, statics: dict[str, str], outcomes: Iterable[Outcome]) -> None:
        """Take in what a run has done."""
        with self._open() as database, database:
            _insert(database, run, statics, outcomes)
            database.execute("DELETE FROM open_runs WHERE run = ?", (run,))

    def _collect(self, database: sqlite3.Connection, current: str) -> None:
        """Take in runs that never came to their end."""
        from millpond.pipelines.record import alive

        for run, statics in database.execute("SELECT run, statics FROM open_runs").fetchall():
            folder = self.folder / run
            if run != current and not alive(folder):
                _insert(database, run, json.loads(statics), Journal(folder).outcomes().values())
                database.execute("DELETE FROM open_runs WHERE run = ?", (run,))


def _insert(
    database: sqlite3.Connection, run: str, statics: dict[str, str], outcomes: Iterable[Outcome]
) -> None:
    rows = []
    for outcome in outcomes:
        if outcome.status == "done" and outcome.key and outcome.outputs and outcome.step in statics:
            outputs = {port: reference.as_dict() for port, reference in outcome.outputs.items()}
            rows.append((outcome.key, statics[outcome.step], run, outcome.step, json.dumps(outputs)))
    database.executemany("INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?)", rows)
