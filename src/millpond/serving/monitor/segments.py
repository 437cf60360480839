"""The log's folder of one deployment: which segments are whole, which were left by a process that died.

A segment's name says who wrote it. One that is still open belongs to its process as long as that
lives, by process id and start time; after that, what is whole of it counts and a gap is noted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from millpond.serving.monitor.record import Entry, Feedback, Gap, Prediction
from millpond.serving.predictionlog import Frame, SegmentError, read_segment

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segment:
    """A segment that nobody writes to any more."""

    path: Path
    revision: str
    pid: int
    started: int
    number: int
    torn: bool = False

    @property
    def writer(self) -> str:
        """The process that wrote it, as one word of a file's name."""
        return f"{self.revision}-{self.started}-{self.pid}"

    @property
    def order(self) -> tuple[int, int, int]:
        """Where it stands among the others, oldest first."""
        return (self.started, self.pid, self.number)


def finished(folder: Path) -> list[Segment]:
    """The segments that can be read and removed, oldest first."""
    found = []
    for path in folder.iterdir():
        if path.suffix not in (".seg", ".open"):
            continue
        segment = _named(path)
        if segment is None:
            continue
        if path.suffix == ".seg" or (segment.torn and not _lives(segment)):
            found.append(segment)
    return sorted(found, key=lambda item: item.order)


def _named(path: Path) -> Segment | None:
    parts = path.name.rsplit(".", 4)
    if len(parts) != 5 or not all(part.isdecimal() for part in parts[1:4]):
        return None
    revision, pid, started, number, suffix = parts
    return Segment(path, revision, int(pid), int(started), int(number), torn=suffix == "open")


def _lives(segment: Segment) -> bool:
    """Whether the process that writes a segment is there; another one may have its id by now."""
    try:
        process = psutil.Process(segment.pid)
        # The start of a process is known to a hundredth of a second, and before it opened its log.
        return bool(
            process.create_time() <= segment.started / 1000 + 1 and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def read(segment: Segment) -> Iterator[Entry]:
    """The entries of a segment, and a gap where its end is missing.

    Raises:
        OSError: it cannot be read now.
    """
    revision, last = segment.revision, segment.path.stat().st_mtime
    try:
        header, frames = read_segment(segment.path)
    except SegmentError as error:
        if segment.torn:  # died before its first write was whole
            yield _crash(segment, revision, last)
            return
        log.warning("%s", error.message)
        yield Gap(revision, last, "unreadable", None, segment.path.name)
        return
    revision = str(header.get("revision") or revision)
    for frame in frames:
        entry = _entry(frame, revision, segment)
        if entry is not None:
            yield entry
    if segment.torn:
        yield _crash(segment, revision, last)


def _crash(segment: Segment, revision: str, when: float) -> Gap:
    log.warning(
        "revision %s (process %d) died while it wrote its log: up to its last second may be missing",
        revision,
        segment.pid,
    )
    return Gap(revision, when, "crash", None, segment.path.name)


def _entry(frame: Frame, revision: str, segment: Segment) -> Entry | None:
    meta = frame.meta
    try:
        match meta.get("kind"):
            case "prediction":
                return Prediction(
                    id=str(meta["id"]),
                    revision=revision,
                    time=float(meta["time"]),
                    ms=float(meta["ms"]),
                    status=int(meta["status"]),
                    protocol=str(meta["protocol"]),
                    path=str(meta["path"]),
                    shadow=bool(meta.get("shadow")),
                    request_type=meta.get("type"),
                    request_header=meta.get("header_length"),
                    request=frame.request,
                    response_type=meta.get("response_type"),
                    response_header=meta.get("response_header_length"),
                    response=frame.response,
                )
            case "feedback":
                return Feedback(str(meta["id"]), revision, float(meta["time"]), frame.request)
            case "dropped":
                return Gap(revision, float(meta["time"]), "queue", int(meta["count"]), segment.path.name)
    except (KeyError, TypeError, ValueError) as error:
        log.warning("%s: an entry that cannot be read: %r", segment.path.name, error)
        return Gap(revision, segment.path.stat().st_mtime, "unreadable", 1, segment.path.name)
    return None  # a kind of a later version
