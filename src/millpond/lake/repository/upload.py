"""From files to blobs in packs: cut, hashed, looked up, compressed and sent, each while the others go on."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from millpond.lake.repository.objects import Objects
from millpond.lake.repository.pack import Blob, Pack, digest, key_of, squeeze
from millpond.lake.repository.progress import Progress
from millpond.lake.repository.tree import Entry
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError

SMALL = 256 << 10
AVERAGE = 1 << 20
LARGEST = 4 << 20
_SENDERS = 6
_UNDERWAY = 8
_HASHERS = min(os.cpu_count() or 1, 8)


class Packer:
    """Gathers blobs into packs and sends each pack when it is full.

    Args:
        known: where a blob is already, or None.
        sent: told of every pack that has arrived.
    """

    def __init__(
        self,
        objects: Objects,
        known: Callable[[str], Blob | None],
        sent: Callable[[Pack], None] = lambda pack: None,
        progress: Progress | None = None,
    ) -> None:
        self._objects, self._known, self._sent = objects, known, sent
        self._progress = progress or Progress()
        self._pack: Pack | None = None
        self._mine: dict[str, Blob] = {}
        self._senders = ThreadPoolExecutor(_SENDERS, "millpond-send")
        self._hashers = ThreadPoolExecutor(_HASHERS, "millpond-hash")
        self._sending: deque[Future[None]] = deque()
        self.new_bytes = 0

    def add(self, data: bytes) -> Blob:
        """A blob with these bytes: one that is there, or a new one."""
        return self.place(digest(data), data, None)

    def place(self, id: str, data: bytes, payload: bytes | None) -> Blob:  # noqa: A002 - the field's name
        """As `add`, with the digest, and what the bytes were squeezed to if that was done."""
        found = self._mine.get(id) or self._known(id)
        if found is not None:
            return found
        if self._pack is None:
            self._pack = Pack()
        blob = self._pack.add(id, squeeze(data) if payload is None else payload, len(data))
        self._mine[id] = blob
        self.new_bytes += blob.stored
        if self._pack.full:
            self._send()
        return blob

    def has(self, id: str) -> bool:  # noqa: A002 - the field's name
        """Whether a blob need not be squeezed."""
        return id in self._mine or self._known(id) is not None

    def flush(self) -> None:
        """Send what is left, and wait until all has arrived.

        Raises:
            MillpondError: something did not arrive.
        """
        if self._pack is not None and self._pack.blobs:
            self._send()
        while self._sending:
            self._sending.popleft().result()

    def close(self) -> None:
        """End the threads; what was not flushed is given up."""
        self._senders.shutdown(wait=True, cancel_futures=True)
        self._hashers.shutdown(wait=True, cancel_futures=True)

    def _send(self) -> None:
        pack, self._pack = self._pack, None
        assert pack is not None
        while len(self._sending) >= _UNDERWAY:
            self._sending.popleft().result()
        self._sending.append(self._senders.submit(self._deliver, pack))

    def _deliver(self, pack: Pack) -> None:
        data = pack.bytes()
        # Nobody else has this name: where it is taken, an answer was lost and the request was sent again.
        with suppress(ConflictError):
            self._objects.create(key_of(pack.name), data)
        self._progress.add(sent=len(data))
        self._sent(pack)

    def file(self, path: str, source: Path) -> tuple[Entry, os.stat_result]:
        """The entry of a file, whose new chunks are packed, and its state before it was read.

        Raises:
            MillpondError: the file cannot be read, or changes while it is.
        """
        try:
            for _ in range(3):
                with source.open("rb") as file:
                    before = os.fstat(file.fileno())
                    entry = self._entry(path, file, before)
                    after = os.fstat(file.fileno())
                if (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size):
                    self._progress.add(files=1)
                    return entry, before
        except OSError as error:
            raise MillpondError(f"{source} cannot be read: {error.strerror}") from None
        raise MillpondError(f"{source} changes while it is read", hint="commit when its writer is done")

    def _entry(self, path: str, file: IO[bytes], stat: os.stat_result) -> Entry:
        executable = bool(stat.st_mode & 0o100)
        if stat.st_size <= SMALL:
            data = file.read()
            self._progress.add(bytes=len(data))
            sha256 = digest(data)
            blobs = (self.place(sha256, data, None),) if data else ()
            return Entry(path, sha256, len(data), executable, blobs)
        whole = hashlib.sha256()
        blobs_ = []
        size = 0
        for data, made in self._chunks(file, whole):
            size += len(data)
            id_, payload = made.result()
            blobs_.append(self.place(id_, data, payload))
            self._progress.add(bytes=len(data))
        return Entry(path, whole.hexdigest(), size, executable, tuple(blobs_))

    def _chunks(
        self, file: IO[bytes], whole: Any
    ) -> Iterator[tuple[bytes, Future[tuple[str, bytes | None]]]]:
        """Chunks in order, with their digests on the way; the threads work ahead of who takes them."""
        from pyfastcdc import FastCDC

        cutter = FastCDC(avg_size=AVERAGE, min_size=SMALL, max_size=LARGEST)
        ahead: deque[tuple[bytes, Future[tuple[str, bytes | None]]]] = deque()
        for chunk in cutter.cut_stream(file):
            data = bytes(chunk.data)
            ahead.append((data, self._hashers.submit(self._work, data)))
            whole.update(data)
            if len(ahead) > 2 * _HASHERS:
                yield ahead.popleft()
        yield from ahead

    def _work(self, data: bytes) -> tuple[str, bytes | None]:
        id_ = digest(data)
        return id_, None if self.has(id_) else squeeze(data)
