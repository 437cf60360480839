"""What this machine remembers of a repository: where blobs are, nodes and commits, and files' digests.

All of it can be made again, so a damaged or busy cache costs time and nothing else. Several processes may
use one at once.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from millpond.lake.repository.pack import Blob

_TABLES = """
CREATE TABLE IF NOT EXISTS blobs (
  id TEXT PRIMARY KEY, pack TEXT, offset INT, stored INT, length INT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS packs (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  root TEXT, path TEXT, size INT, mtime INT, ctime INT, inode INT, seen INT, sha256 TEXT,
  PRIMARY KEY (root, path)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""
# A file that changed this shortly before it was looked at may change again without its times telling.
_GRAIN = 20_000_000
_COARSE = 2_000_000_000
_MANY = 500


class Seen(NamedTuple):
    """What a file was like when its digest was taken; times in nanoseconds."""

    size: int
    mtime: int
    ctime: int
    inode: int
    seen: int
    sha256: str

    @classmethod
    def of(cls, stat: os.stat_result, sha256: str) -> Seen:
        """A file as it is now, with its digest."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, time.time_ns(), sha256)

    def holds(self, stat: os.stat_result) -> bool:
        """Whether the file is sure to be what it was."""
        same = (self.size, self.mtime, self.ctime, self.inode) == (
            stat.st_size,
            stat.st_mtime_ns,
            stat.st_ctime_ns,
            stat.st_ino,
        )
        grain = _COARSE if self.mtime % 1_000_000_000 == 0 else _GRAIN
        return same and max(self.mtime, self.ctime) < self.seen - grain


def folder() -> Path:
    """Where the caches are."""
    from millpond.targets.cache import default_root

    return default_root() / "repositories"


class Cache:
    """The cache of one repository, named by where it is and by what it was called when it was made."""

    def __init__(self, name: str, where: Path | None = None) -> None:
        place = where or folder()
        self._lock = threading.Lock()
        self._path = place / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.sqlite"
        self._made: sqlite3.Connection | None = None

    def _open(self) -> sqlite3.Connection:
        if self._made is None:
            try:
                self._made = self._connect(str(self._path))
            except (OSError, sqlite3.Error):
                with suppress(OSError):
                    self._path.unlink()
                try:
                    self._made = self._connect(str(self._path))
                except (OSError, sqlite3.Error):
                    self._made = self._connect(":memory:")
        return self._made

    def _connect(self, path: str) -> sqlite3.Connection:
        if path != ":memory:":
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        made = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("PRAGMA synchronous = OFF")
        made.executescript(_TABLES)
        return made

    def _all(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._open().execute(text, values).fetchall()
            except sqlite3.Error:
                return []

    def _write(self, statements: Sequence[tuple[str, Iterable[Sequence[object]]]]) -> None:
        with self._lock, suppress(sqlite3.Error):
            made = self._open()
            made.execute("BEGIN IMMEDIATE")
            try:
                for text, rows in statements:
                    made.executemany(text, rows)
                made.execute("COMMIT")
            except BaseException:
                made.execute("ROLLBACK")
                raise

    def blobs(self, ids: Iterable[str]) -> dict[str, Blob]:
        """Where some blobs are, as far as that is known."""
        return {
            str(row[0]): Blob(*row)
            for row in self._several("SELECT id, pack, offset, stored, length FROM blobs", ids)
        }

    def _several(self, text: str, ids: Iterable[str]) -> list[tuple[Any, ...]]:
        wanted = list(ids)
        found = []
        for start in range(0, len(wanted), _MANY):
            part = wanted[start : start + _MANY]
            found += self._all(f"{text} WHERE id IN ({','.join('?' * len(part))})", part)
        return found

    def know(self, pack: str, blobs: Iterable[Blob]) -> None:
        """Remember what a pack has."""
        self._write(
            [
                ("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?, ?, ?)", blobs),
                ("INSERT OR REPLACE INTO packs VALUES (?)", [(pack,)]),
            ]
        )

    def packs(self) -> set[str]:
        """The packs whose blobs are known."""
        return {str(row[0]) for row in self._all("SELECT name FROM packs")}

    def forget(self, packs: Iterable[str]) -> None:
        """Forget packs that are gone."""
        rows = [(pack,) for pack in packs]
        self._write([("DELETE FROM blobs WHERE pack = ?", rows), ("DELETE FROM packs WHERE name = ?", rows)])

    def documents(self, ids: Iterable[str]) -> dict[str, bytes]:
        """Nodes and commits by their ids, as far as they are here."""
        return {str(row[0]): bytes(row[1]) for row in self._several("SELECT id, data FROM documents", ids)}

    def keep(self, documents: Mapping[str, bytes]) -> None:
        """Keep nodes or commits."""
        self._write([("INSERT OR IGNORE INTO documents VALUES (?, ?)", list(documents.items()))])

    def files(self, root: Path) -> dict[str, Seen]:
        """The files that were seen below a folder."""
        text = "SELECT path, size, mtime, ctime, inode, seen, sha256 FROM files WHERE root = ?"
        return {str(row[0]): Seen(*row[1:]) for row in self._all(text, [str(root)])}

    def saw(self, root: Path, files: Mapping[str, Seen], gone: Iterable[str] = ()) -> None:
        """Remember files below a folder, and forget those that are gone."""
        place = str(root)
        self._write(
            [
                ("DELETE FROM files WHERE root = ? AND path = ?", [(place, path) for path in gone]),
                (
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [(place, path, *seen) for path, seen in files.items()],
                ),
            ]
        )

    def fact(self, name: str) -> str | None:
        """A single thing that was noted."""
        found = self._all("SELECT value FROM facts WHERE name = ?", [name])
        return str(found[0][0]) if found else None

    def note(self, name: str, value: str) -> None:
        """Note a single thing."""
        self._write([("INSERT OR REPLACE INTO facts VALUES (?, ?)", [(name, value)])])

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._made is not None:
                self._made.close()
                self._made = None
