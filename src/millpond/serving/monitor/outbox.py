"""Events on their way to the lake: Parquet files on this disk until the store has them.

A file that stands in ``waiting/`` is the moment at which its segments are dealt with: it names them in its
footer, so that after a crash they are removed and not read again. Its key in the lake is in the footer
too and never changes, so that an upload that is repeated writes the same object. What was uploaded
stays in ``kept/`` for a while: the monitor's memory is filled from it after a restart.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import orjson
import pyarrow
from pyarrow import parquet

log = logging.getLogger(__name__)

_NOTE = b"millpond"
_PRUNED = "pruned"
DISK = 1024 * 1024 * 1024
KEPT = 128 * 1024 * 1024


@dataclass(frozen=True)
class Dropped:
    """Events that were given up because the disk's share was full; `before` in files that told of it too."""

    events: int
    before: int
    since: float
    until: float


class Outbox:
    """The files of one deployment. `limit` and `keep` are bytes, of what waits and of what is kept."""

    def __init__(self, folder: Path, limit: int = DISK, keep: int = KEPT) -> None:
        self._waiting = folder / "waiting"
        self._kept = folder / "kept"
        self._limit = limit
        self._keep = keep
        self._lock = threading.Lock()
        self._latest = 0
        for place in (self._waiting, self._kept):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._waiting.glob("*.part"):
            part.unlink()

    def recover(self) -> None:
        """Remove the segments of files that were written before a crash."""
        for path in self.waiting():
            for name in _note(path)["segments"]:
                Path(name).unlink(missing_ok=True)

    def commit(self, key: str, table: pyarrow.Table, segments: list[Path], given_up: int = 0) -> None:
        """Write events to this disk, and then remove the segments that they come from.

        Args:
            key: the object's name in the lake.
            table: the rows.
            segments: files that are not needed any more once this one is there.
            given_up: how many events this file says are missing.

        Raises:
            OSError: the disk is full; nothing has changed.
        """
        with self._lock:
            note = {"key": key, "segments": [str(segment) for segment in segments], "given_up": given_up}
            self._write(self._waiting / f"{self._instant()}.parquet", table, note)
            for segment in segments:
                segment.unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """The files that the lake has not got, oldest first."""
        with self._lock:
            return sorted(self._waiting.glob("*.parquet"))

    def kept(self) -> list[Path]:
        """The files that the lake has and this disk still has too, oldest first."""
        return sorted(self._kept.glob("*.parquet"))

    def uploaded(self, path: Path) -> None:
        """The lake has a file now; the oldest of the kept ones go."""
        with self._lock:
            with suppress(FileNotFoundError):
                path.replace(self._kept / path.name)
            sizes = [(found, found.stat().st_size) for found in self.kept()]
            total = sum(size for _, size in sizes)
            for found, size in sizes[:-1]:
                if total <= self._keep:
                    break
                (self._kept / _PRUNED).touch()
                found.unlink(missing_ok=True)
                total -= size

    @property
    def pruned(self) -> bool:
        """Whether the lake has files that are not kept here any more."""
        return (self._kept / _PRUNED).exists()

    def size(self) -> int:
        """Bytes that wait."""
        return sum(_size(path) for path in self.waiting())

    def oldest(self) -> float | None:
        """When the file that waits longest was written, in Unix seconds."""
        found = self.waiting()
        return int(found[0].name.partition(".")[0]) / 1e6 if found else None

    def make_room(self) -> Dropped | None:
        """Give the oldest files up, when more waits than may; what they held, in numbers."""
        total, chosen, told = self.size(), [], []
        for path in self.waiting()[:-1]:
            with self._lock, suppress(FileNotFoundError):  # it went to the lake just now
                if _note(path)["given_up"]:
                    told.append(path)
                elif total > self._limit:
                    chosen.append(path)
                    total -= path.stat().st_size
        if not chosen:
            return None
        events, before, times = 0, 0, []
        for path in [*chosen, *told]:  # one file tells of all that is missing
            with self._lock, suppress(FileNotFoundError):
                found = parquet.read_table(path, columns=["time"])["time"].to_pylist()
                times += [when.timestamp() for when in found]
                before += int(_note(path)["given_up"])
                events += len(found) if path in chosen else 0
                path.unlink()
        log.error("the lake has been away for too long: %d events were given up, the oldest first", events)
        return Dropped(events, before, min(times), max(times)) if times else None

    def _instant(self) -> str:
        """A name that sorts after all before it, and says when."""
        self._latest = max(self._latest + 1, int(time() * 1e6))
        return f"{self._latest:016d}"

    def _write(self, path: Path, table: pyarrow.Table, note: dict[str, Any]) -> None:
        table = table.replace_schema_metadata({_NOTE: orjson.dumps(note)})
        part = path.with_suffix(".part")
        try:
            with part.open("wb") as file:
                parquet.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def key_of(path: Path) -> str:
    """The name that a file has in the lake."""
    return str(_note(path)["key"])


def _note(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(parquet.read_schema(path).metadata[_NOTE])
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
