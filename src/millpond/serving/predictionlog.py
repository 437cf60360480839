"""The prediction log: what a revision was asked and what it answered, in segment files beside it.

A model server appends, the monitor reads. Neither waits for the other: the server's part on the
way of an answer is one append to a list in memory, a thread of its own writes to disk twice a
second, and when it cannot keep up, predictions are dropped and counted, never delayed.

A folder belongs to one deployment. ``control.json`` in it says what to keep; the writer looks at
it each time it writes. A segment is ``<revision>.<pid>.<start in ms>.<n>.open`` while it is written and
``.seg`` when it is whole, after 2 s or 8 MiB. A process that died leaves an ``.open`` one: what
is whole of it counts, and up to the last second may be missing.

Format: a line of JSON (``format``, ``deployment``, ``namespace``, ``revision``, ``version``, ``pid``,
``started``), then frames: three little-endian 32-bit lengths (meta, request, response), and
those three byte strings. ``meta`` is a JSON object with a ``kind``:

- ``prediction``: ``id``, ``time`` (Unix seconds of its arrival), ``ms``, ``status``, ``protocol``
  (v1, v2, grpc-v2), ``path``, ``type`` and ``response_type`` (content types), ``header_length`` and
  ``response_header_length`` (of the binary extension, or null), ``shadow``;
- ``feedback``: ``id``, ``time``; the body is in the request's place;
- ``dropped``: ``time``, ``count``.

Bodies are kept as they came; nothing is parsed on the way of an answer.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, time
from typing import Any, BinaryIO

from millpond.model.errors import MillpondError

log = logging.getLogger(__name__)

FORMAT = "millpond-log/1"
CONTROL = "control.json"
MODES = ("off", "all", "request", "response")
_LENGTHS = struct.Struct("<III")
_SEGMENT_BYTES = 8 * 1024 * 1024
_SEGMENT_SECONDS = 2.0
_WRITE_SECONDS = 0.2
_QUEUE_FRAMES = 20_000
_QUEUE_BYTES = 64 * 1024 * 1024


class SegmentError(MillpondError):
    """A file is no segment of the prediction log, or its first line is not whole."""


@dataclass(frozen=True, slots=True)
class Control:
    """What to keep: nothing, all, or one of the two bodies, of a share `sample` of the predictions."""

    mode: str = "off"
    sample: float = 1.0

    @classmethod
    def read(cls, folder: Path) -> Control:
        """The folder's control; off when there is none or it cannot be understood."""
        try:
            found = json.loads((folder / CONTROL).read_bytes())
            mode, sample = found.get("mode", "off"), float(found.get("sample", 1.0))
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()
        return cls(mode if mode in MODES else "off", min(max(sample, 0.0), 1.0))

    def write(self, folder: Path) -> None:
        """Put it into the folder, whole or not at all."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".{CONTROL}.{os.getpid()}"
        part.write_text(json.dumps({"mode": self.mode, "sample": self.sample}))
        part.replace(folder / CONTROL)


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry of a segment; its `kind` is in `meta`."""

    meta: dict[str, Any]
    request: bytes
    response: bytes


def kept(identity: str, sample: float) -> bool:
    """Whether the prediction with this id is in the sample: the same answer in every process.

    So a primary and its shadow, or a prediction and its repetition, are kept or left out alike.
    """
    if sample >= 1.0:
        return True
    digest = hashlib.blake2b(identity.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") < sample * 2.0**64


class SegmentWriter:
    """Writes one process's segments; its methods may be called from any thread and never wait for the disk.

    `on` says whether predictions are kept at all, so that a caller need not put one together in
    vain. `written` and `dropped` count frames.
    """

    def __init__(
        self,
        folder: Path,
        *,
        deployment: str,
        namespace: str = "default",
        revision: str,
        version: str,
        queue_frames: int = _QUEUE_FRAMES,
        queue_bytes: int = _QUEUE_BYTES,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self.written = 0
        self.dropped = 0
        self._limits = (queue_frames, queue_bytes)
        started = time()
        header = {
            "format": FORMAT,
            "deployment": deployment,
            "namespace": namespace,
            "revision": revision,
            "version": version,
            "pid": os.getpid(),
            "started": started,
        }
        self._header = json.dumps(header).encode() + b"\n"
        self._name = f"{revision.replace('/', '_')}.{os.getpid()}.{int(started * 1000)}"
        self._segment: _Segment | None = None
        self._count = 0
        self._lock = threading.Lock()
        self._queue: list[tuple[dict[str, Any], bytes, bytes]] = []
        self._bytes = 0
        self._overflow = 0
        self._seen: tuple[int, int, int] | None = None
        self._look()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def wants(self, identity: str) -> bool:
        """Whether the prediction with this id would be kept."""
        return self.on and kept(identity, self._control.sample)

    def prediction(
        self,
        identity: str,
        request: bytes,
        response: bytes,
        *,
        arrival: float,
        ms: float,
        status: int,
        protocol: str,
        path: str,
        request_type: str | None = None,
        response_type: str | None = None,
        header_length: int | None = None,
        response_header_length: int | None = None,
        shadow: bool = False,
    ) -> None:
        """Keep a prediction, if the control file asks for it; `arrival` in Unix seconds."""
        control = self._control
        if control.mode == "off" or not kept(identity, control.sample):
            return
        meta = {
            "kind": "prediction",
            "id": identity,
            "time": arrival,
            "ms": ms,
            "status": status,
            "protocol": protocol,
            "path": path,
            "type": request_type,
            "header_length": header_length,
            "response_type": response_type,
            "response_header_length": response_header_length,
            "shadow": shadow,
        }
        if control.mode == "request":
            response = b""
        elif control.mode == "response":
            request = b""
        self._add(meta, request, response)

    def feedback(self, identity: str, body: bytes) -> None:
        """Keep what became of a prediction, whether or not that one is in the sample."""
        self._add({"kind": "feedback", "id": identity, "time": time()}, body, b"")

    def close(self, timeout: float = 5.0) -> None:
        """Write what is queued and finish the segment; waits at most `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)

    def _add(self, meta: dict[str, Any], request: bytes, response: bytes) -> None:
        size = len(request) + len(response) + 400
        frames, limit = self._limits
        with self._lock:
            if len(self._queue) >= frames or self._bytes + size > limit:
                self._overflow += 1
                self.dropped += 1
                return
            self._queue.append((meta, request, response))
            self._bytes += size

    def _look(self) -> None:
        """See what is to be kept; a file that was not replaced is not read again."""
        try:
            found = (self.folder / CONTROL).stat()
            seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            seen = None
        if seen is not None and seen == self._seen:
            return
        self._seen = seen
        self._control = Control.read(self.folder)
        self.on = self._control.mode != "off"

    def _run(self) -> None:
        while not self._stopping.wait(_WRITE_SECONDS):
            self._look()
            self._drain()
            if self._segment is not None and self._segment.age >= _SEGMENT_SECONDS:
                self._finish()
        self._drain()
        self._finish()

    def _drain(self) -> None:
        with self._lock:
            queue, self._queue = self._queue, []
            overflow, self._overflow = self._overflow, 0
            self._bytes = 0
        if overflow:
            queue.append(({"kind": "dropped", "time": time(), "count": overflow}, b"", b""))
        parts: list[bytes] = []
        size = frames = 0
        for meta, request, response in queue:
            text = json.dumps(meta, separators=(",", ":")).encode()
            parts += (_LENGTHS.pack(len(text), len(request), len(response)), text, request, response)
            size += _LENGTHS.size + len(text) + len(request) + len(response)
            frames += 1
            if size >= _SEGMENT_BYTES:
                self._write(b"".join(parts), frames)
                parts, size, frames = [], 0, 0
        if parts:
            self._write(b"".join(parts), frames)

    def _write(self, data: bytes, frames: int) -> None:
        try:
            if self._segment is None:
                self._count += 1
                self._segment = _Segment(self.folder / f"{self._name}.{self._count}.open", self._header)
            self._segment.append(data)
            self.written += frames
        except OSError as error:
            log.warning("%d entries of the prediction log are lost: %s", frames, error)
            with self._lock:
                self._overflow += frames
                self.dropped += frames
            self._finish()  # what may be torn at its end is not written to any more
            return
        if self._segment.size >= _SEGMENT_BYTES:
            self._finish()

    def _finish(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            try:
                segment.finish()
            except OSError as error:
                log.warning("a segment of the prediction log stays open: %s", error)


class _Segment:
    """The file that is being written."""

    def __init__(self, path: Path, header: bytes) -> None:
        self._path = path
        self._began = monotonic()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self.size = 0
        self._pending = header

    @property
    def age(self) -> float:
        return monotonic() - self._began

    def append(self, data: bytes) -> None:
        rest = memoryview(self._pending + data)
        self._pending = b""
        self.size += len(rest)
        while rest:  # a disk that is full takes a part of it
            rest = rest[os.write(self._file, rest) :]

    def finish(self) -> None:
        os.close(self._file)
        self._path.rename(self._path.with_suffix(".seg"))


def read_segment(path: Path) -> tuple[dict[str, Any], Iterator[Frame]]:
    """A segment's header and its frames, up to the first that is not whole.

    Raises:
        SegmentError: it has no whole first line, or another format.
        OSError: it cannot be read.
    """
    file = path.open("rb")
    try:
        line = file.readline(65536)
        header = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        file.close()
        raise SegmentError(f"{path.name} is no segment of a prediction log", hint=f"its format is {FORMAT}")
    return header, _frames(file)


def _frames(file: BinaryIO) -> Iterator[Frame]:
    with file:
        size = os.fstat(file.fileno()).st_size
        while True:
            head = file.read(_LENGTHS.size)
            if len(head) < _LENGTHS.size:
                return
            lengths = _LENGTHS.unpack(head)
            if file.tell() + sum(lengths) > size:  # torn, or still being written
                return
            meta, request, response = (file.read(length) for length in lengths)
            try:
                found = json.loads(meta)
            except ValueError:
                return
            yield Frame(found, request, response)
