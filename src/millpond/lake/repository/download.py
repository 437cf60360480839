"""From blobs in packs to bytes and files: neighbours come in one request, several requests at once."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from millpond.lake.repository.index import BlobIndex
from millpond.lake.repository.objects import AbsentError, Objects
from millpond.lake.repository.pack import Blob, expand, key_of
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.tree import Entry
from millpond.model.errors import MillpondError

_READERS = 8
_GAP = 128 << 10
_RANGE = 8 << 20


@dataclass
class _Range:
    """Blobs of one pack that are read by one request."""

    pack: str
    start: int
    end: int
    blobs: list[Blob] = field(default_factory=list)


class Reader:
    """Reads blobs by their addresses; where a clean-up moved them, by the index."""

    def __init__(self, objects: Objects, index: BlobIndex) -> None:
        self._objects, self._index = objects, index

    def contents(self, blobs: Sequence[Blob]) -> dict[str, bytes]:
        """Some blobs by their ids; all in memory."""
        ranges = list(_ranges(blobs))
        if len(ranges) == 1:
            return dict(self._parts(ranges[0]))
        found: dict[str, bytes] = {}
        with ThreadPoolExecutor(_READERS, "millpond-read") as pool:
            for part in pool.map(lambda item: list(self._parts(item)), ranges):
                found.update(part)
        return found

    def each(self, blobs: Iterable[Blob], take: Callable[[Blob, bytes], None], progress: Progress) -> None:
        """Hand every blob to `take`, in the order in which they come, from several threads."""
        failed = threading.Event()

        def work(item: _Range) -> None:
            if failed.is_set():
                return
            try:
                for blob, data in self._read(item):
                    take(blob, data)
                progress.add(sent=item.end - item.start)
            except BaseException:
                failed.set()
                raise

        with ThreadPoolExecutor(_READERS, "millpond-read") as pool:
            for _ in pool.map(work, _ranges(blobs)):
                pass

    def _parts(self, item: _Range) -> Iterator[tuple[str, bytes]]:
        for blob, data in self._read(item):
            yield blob.id, data

    def _read(self, item: _Range) -> Iterator[tuple[Blob, bytes]]:
        try:
            data = memoryview(self._objects.read_range(key_of(item.pack), item.start, item.end - item.start))
        except AbsentError:
            moved = self._index.locate(blob.id for blob in item.blobs)
            if any(blob.pack == item.pack for blob in moved.values()):
                raise
            wanted = {blob.id: blob for blob in item.blobs}
            for part in _ranges(moved.values()):
                for blob, found in self._read(part):
                    yield wanted[blob.id], found
            return
        for blob in item.blobs:
            begin = blob.offset - item.start
            yield blob, expand(blob, bytes(data[begin : begin + blob.stored]))


def _ranges(blobs: Iterable[Blob]) -> Iterator[_Range]:
    """The requests that some blobs take; each blob once."""
    current: _Range | None = None
    last: str | None = None
    for blob in sorted(blobs, key=lambda item: (item.pack, item.offset)):
        if blob.id == last:
            continue
        last = blob.id
        end = blob.offset + blob.stored
        if (
            current is None
            or blob.pack != current.pack
            or blob.offset - current.end > _GAP
            or end - current.start > _RANGE
        ):
            if current is not None:
                yield current
            current = _Range(blob.pack, blob.offset, end)
        current.blobs.append(blob)
        current.end = max(current.end, end)
    if current is not None:
        yield current


class _Target:
    """A file in the making: its place takes the new bytes all at once."""

    def __init__(self, entry: Entry, place: Path) -> None:
        self.entry, self.place = entry, place
        self.made = place.with_name(f".{place.name[:100]}.{secrets.token_hex(4)}.part")
        self.left = len(entry.blobs)
        self.lock = threading.Lock()

    def write(self, offset: int, data: bytes) -> bool:
        """Write a part; whether it was the last one."""
        if len(self.entry.blobs) == 1:
            with self.made.open("xb") as file:
                file.write(data)
        else:
            handle = os.open(self.made, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                os.pwrite(handle, data, offset)
            finally:
                os.close(handle)
        with self.lock:
            self.left -= 1
            done = self.left == 0
        if done:
            self.finish()
        return done

    def finish(self) -> None:
        """Put the file in its place."""
        if self.entry.executable:
            self.made.chmod(self.made.stat().st_mode | 0o111)
        self.made.replace(self.place)


def write_files(
    reader: Reader,
    files: Mapping[Path, Entry],
    progress: Progress,
    done: Callable[[Path, Entry], None] = lambda place, entry: None,
) -> None:
    """Write files to their places; each is whole or not there at all.

    Args:
        done: told of every file that is in its place, from several threads.

    Raises:
        MillpondError: a file cannot be written, or a part of it is damaged.
    """
    progress.expect(len(files), sum(entry.size for entry in files.values()))
    targets: list[_Target] = []
    takers: dict[str, list[tuple[_Target, int]]] = {}
    for folder in {place.parent for place in files}:
        _make(folder)
    for place, entry in files.items():
        target = _Target(entry, place)
        targets.append(target)
        offset = 0
        for blob in entry.blobs:
            takers.setdefault(blob.id, []).append((target, offset))
            offset += blob.length

    def take(blob: Blob, data: bytes) -> None:
        for target, offset in takers[blob.id]:
            finished = target.write(offset, data)
            progress.add(bytes=len(data), files=finished)
            if finished:
                done(target.place, target.entry)

    try:
        for target in targets:
            if not target.entry.blobs:
                target.made.touch()
                target.finish()
                progress.add(files=1)
                done(target.place, target.entry)
        # The same bytes may be in two packs; they are wanted once.
        wanted = {blob.id: blob for entry in files.values() for blob in entry.blobs}
        reader.each(wanted.values(), take, progress)
    except OSError as error:
        raise MillpondError(f"{error.filename} cannot be written: {error.strerror}") from None
    finally:
        for target in targets:
            if target.left or not target.entry.blobs:
                with suppress(FileNotFoundError):
                    target.made.unlink()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MillpondError(f"{folder} cannot be made: {error.strerror}") from None
