"""What was handed over, and every run that is to be: one SQLite file, so that each is there wholly or not.

A run is written down before anything is started, under a *key* that says why it is to be: the instant of a
schedule, the commit of a branch, a request. A key is taken once, for good. So whoever asks again after a
crash changes nothing, and whatever was written down is started, however often the process died in between.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from millpond.model.errors import MillpondError, did_you_mean
from millpond.pipelines.record import new_id

State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pipelines (name TEXT PRIMARY KEY, data TEXT NOT NULL, looked REAL NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, key TEXT UNIQUE, pipeline TEXT NOT NULL, state TEXT NOT NULL, data TEXT NOT NULL,
    created REAL NOT NULL, ended REAL, tries INTEGER NOT NULL DEFAULT 0, error TEXT
);
CREATE INDEX IF NOT EXISTS by_state ON runs (state, created);
CREATE INDEX IF NOT EXISTS by_pipeline ON runs (pipeline, created);
CREATE TABLE IF NOT EXISTS tokens (name TEXT PRIMARY KEY, digest TEXT UNIQUE NOT NULL, data TEXT NOT NULL);
"""
_COLUMNS = "id, pipeline, state, data, created, ended, tries, error"


@dataclass(frozen=True)
class Code:
    """One version of a pipeline: the copy of its folder, the file in it, and what is known of its origin."""

    digest: str
    file: str
    commit: str | None = None
    dirty: bool | None = None


@dataclass(frozen=True)
class Handed:
    """A pipeline that was handed over.

    Attributes:
        parameters: values in place of the file's defaults.
        schedule: a cron expression, in `timezone`; its runs have `scheduled` besides.
        triggers: ``repository``, ``branch`` and ``parameter`` of each.
        by: whose token it was, or the platform's user.
        at: seconds since the epoch; commits before are none of its own.
        looked: the instant up to which the schedule was dealt with, in seconds since the epoch.
    """

    name: str
    code: Code
    summary: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    schedule: str | None = None
    timezone: str = "UTC"
    scheduled: dict[str, Any] = field(default_factory=dict)
    triggers: list[dict[str, Any]] = field(default_factory=list)
    by: str = ""
    at: float = 0.0
    looked: float = 0.0


@dataclass(frozen=True)
class Asked:
    """A run as it was asked for.

    Attributes:
        cause: why, in words that a page shows.
        experiment: MLflow's, for steps that name none.
    """

    pipeline: str
    code: Code
    parameters: dict[str, Any]
    cause: str
    experiment: str | None = None


@dataclass(frozen=True)
class Entry:
    """A run in the ledger. What its steps did is in its record, under the same id."""

    id: str
    asked: Asked
    state: State
    created: float
    ended: float | None = None
    tries: int = 0
    error: str | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("queued", "running")


class Ledger:
    """The file. Safe for many threads of one process.

    Args:
        file: made where it is not there.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        file.chmod(0o600)
        # A run that was promised is there after a power cut, too.
        self._db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One change: all that happens inside is kept, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self._lock, closing(self._db.execute(query, values)) as found:
            return found.fetchall()

    # Pipelines

    def hand(self, handed: Handed) -> None:
        """Take over a pipeline, or another version of it; the same schedule goes on where it was."""
        before = next(iter(self._handed("WHERE name = ?", handed.name)), None)
        same = before is not None and (before.schedule, before.timezone) == (
            handed.schedule,
            handed.timezone,
        )
        # A clock that was wrong once, far ahead, is no reason never to look again.
        looked = min(before.looked, handed.at) if same and before is not None else handed.at
        data = {key: value for key, value in vars(handed).items() if key not in ("name", "looked", "code")}
        text = json.dumps({**data, "code": vars(handed.code)}, default=str)
        with self.changing() as db:
            db.execute("INSERT OR REPLACE INTO pipelines VALUES (?, ?, ?)", (handed.name, text, looked))

    def withdraw(self, name: str) -> None:
        """Forget a pipeline: nothing starts it any more, and its runs stay.

        Raises:
            MillpondError: there is none.
        """
        self.pipeline(name)
        with self.changing() as db:
            db.execute("DELETE FROM pipelines WHERE name = ?", (name,))

    def pipelines(self) -> list[Handed]:
        """All that were handed over, by name."""
        return self._handed("ORDER BY name")

    def pipeline(self, name: str) -> Handed:
        """One of them.

        Raises:
            MillpondError: there is none.
        """
        found = self._handed("WHERE name = ?", name)
        if not found:
            known = [handed.name for handed in self.pipelines()]
            raise AbsentError(
                f"no pipeline {name} was handed over",
                hint=did_you_mean(name, known)
                or "`millpond pipeline submit --engine millpond` hands one over",
            )
        return found[0]

    def _handed(self, where: str, *values: Any) -> list[Handed]:
        rows = self.rows(f"SELECT name, data, looked FROM pipelines {where}", *values)
        found = []
        for name, text, looked in rows:
            data = json.loads(text)
            code = Code(**data.pop("code"))
            found.append(Handed(name=name, code=code, looked=looked, **data))
        return found

    # Runs

    def start(
        self, asked: Asked, key: str | None = None, *, looked: float | None = None
    ) -> tuple[Entry, bool]:
        """Write a run down, unless its key was taken before; gives the entry, and whether it is new.

        Args:
            looked: the instant up to which the pipeline's schedule is dealt with when this is written.
        """
        with self.changing() as db:
            if looked is not None:
                db.execute("UPDATE pipelines SET looked = ? WHERE name = ?", (looked, asked.pipeline))
            if key is not None:
                taken = db.execute(f"SELECT {_COLUMNS} FROM runs WHERE key = ?", (key,)).fetchone()
                if taken is not None:
                    return _entry(taken), False
            text = json.dumps({**vars(asked), "code": vars(asked.code)}, default=str)
            while True:
                entry = Entry(new_id(asked.pipeline), asked, "queued", time.time())
                try:
                    db.execute(
                        "INSERT INTO runs (id, key, pipeline, state, data, created)"
                        " VALUES (?, ?, ?, ?, ?, ?)",
                        (entry.id, key, asked.pipeline, entry.state, text, entry.created),
                    )
                except sqlite3.IntegrityError:  # four letters tell two runs of one second apart
                    continue
                return entry, True

    def looked(self, name: str, instant: float) -> None:
        """Remember that a schedule was dealt with up to an instant."""
        with self.changing() as db:
            db.execute("UPDATE pipelines SET looked = ? WHERE name = ?", (instant, name))

    def begun(self, run: str) -> int:
        """A run is started, once more perhaps; how often that was."""
        with self.changing() as db:
            db.execute("UPDATE runs SET state = 'running', tries = tries + 1 WHERE id = ?", (run,))
        return int(self.rows("SELECT tries FROM runs WHERE id = ?", run)[0][0])

    def over(self, run: str, state: State, error: str | None = None) -> None:
        """A run has come to its end."""
        with self.changing() as db:
            db.execute(
                "UPDATE runs SET state = ?, error = ?, ended = ? WHERE id = ?",
                (state, error, time.time(), run),
            )

    def open(self) -> list[Entry]:
        """Runs that are not over, the oldest first."""
        return self._entries("WHERE state IN ('queued', 'running') ORDER BY created")

    def run(self, run: str) -> Entry:
        """One run.

        Raises:
            MillpondError: there is none.
        """
        found = self._entries("WHERE id = ?", run)
        if not found:
            raise AbsentError(f"there is no run {run} here", hint="`millpond runs` lists all of the project")
        return found[0]

    def latest(self, pipeline: str | None = None, *, most: int = 50) -> list[Entry]:
        """The latest runs, of one pipeline or of all."""
        where, values = ("WHERE pipeline = ?", [pipeline]) if pipeline else ("", [])
        return self._entries(f"{where} ORDER BY created DESC LIMIT ?", *values, most)

    def _entries(self, where: str, *values: Any) -> list[Entry]:
        return [_entry(row) for row in self.rows(f"SELECT {_COLUMNS} FROM runs {where}", *values)]


class AbsentError(MillpondError):
    """There is no such pipeline, run or token."""


def _entry(row: tuple[Any, ...]) -> Entry:
    run, _, state, text, created, ended, tries, error = row
    data: dict[str, Any] = json.loads(text)
    asked = Asked(**{**data, "code": Code(**data["code"])})
    return Entry(run, asked, state, created, ended, tries, error)
