"""One deployment's log, taken in: from segments to the window at once, to files for the lake in batches.

A batch holds the segments of one process. Its key in the lake names the process and its first segment,
so that the same segments always make the same object. The gap that giving up makes is a row of its own.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time

from pyarrow import parquet

from millpond.serving.monitor.events import Events, Row, entries, table
from millpond.serving.monitor.outbox import Outbox
from millpond.serving.monitor.record import Entry, Gap, Prediction
from millpond.serving.monitor.segments import Segment, finished, read
from millpond.serving.monitor.settings import Settings
from millpond.serving.monitor.window import Window

log = logging.getLogger(__name__)

# Seconds: a small model answers in under a millisecond, a large one in seconds.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCH_BYTES = 32 * 1024 * 1024


@dataclass
class Counts:
    """What was seen since the monitor started, for its metrics.

    `predictions` by revision, status and shadow; `times` by revision and shadow: the answers in each
    of `BUCKETS` and beyond the last, and the sum of their seconds.
    """

    predictions: Counter[tuple[str, str, bool]] = field(default_factory=Counter)
    times: dict[tuple[str, bool], list[float]] = field(default_factory=dict)
    feedback: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    dropped: int = 0

    def add(self, entry: Entry) -> None:
        """Count an entry."""
        if isinstance(entry, Prediction):
            self.predictions[entry.revision, str(entry.status), entry.shadow] += 1
            if entry.answered:
                times = self.times.setdefault((entry.revision, entry.shadow), [0.0] * (len(BUCKETS) + 2))
                times[bisect_left(BUCKETS, entry.ms / 1000)] += 1
                times[-1] += entry.ms / 1000
        elif isinstance(entry, Gap):
            self.gaps[entry.reason] += 1
            self.dropped += entry.count or 0
        else:
            self.feedback += 1


@dataclass
class _Batch:
    first: Segment
    began: float = field(default_factory=monotonic)
    segments: list[Path] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    bytes: int = 0


class Intake:
    """A deployment's folder, window and outbox.

    `seconds` is how long a batch may wait for more before it becomes a file. `place` is a word in the keys of
    those files, where processes of several machines write the same log: their ids may be the same.
    """

    def __init__(
        self, folder: Path, window: Window, outbox: Outbox, seconds: float = 10.0, place: str = ""
    ) -> None:
        self.folder = folder
        self.window = window
        self.outbox = outbox
        self.counts = Counts()
        self.settings = Settings.read(folder)
        self._seconds = seconds
        self._place = place
        self._batches: dict[str, _Batch] = {}
        self._taken: set[Path] = set()

    @property
    def name(self) -> str:
        """The deployment."""
        return self.folder.name

    def recall(self) -> None:
        """Fill the window from files of an earlier life, and finish what a crash interrupted."""
        self.outbox.recover()
        recalled: list[list[Entry]] = []
        size, missing = 0, False
        files = sorted([*self.outbox.kept(), *self.outbox.waiting()], key=lambda path: path.name)
        for path in reversed(files):
            if size >= self.window.limit:
                missing = True
                break
            try:
                made = entries(parquet.read_table(path))
            except (OSError, ValueError) as error:
                log.warning("%s cannot be read: %s", path.name, error)
                continue
            recalled.append(made)
            size += sum(entry.size for entry in made)
        if recalled and (missing or self.outbox.pruned):
            self.window.forget_before(min((entry.time for entry in recalled[-1]), default=0.0))
        for made in reversed(recalled):
            self.window.add(made)

    def poll(self) -> list[Entry]:
        """Take in what is new; returns it."""
        self.settings = Settings.read(self.folder)
        new: list[Entry] = []
        for segment in finished(self.folder):
            if segment.path in self._taken:
                continue
            try:
                found = list(read(segment))
            except OSError as error:
                log.warning("%s cannot be read: %s", segment.path.name, error)
                continue
            self._taken.add(segment.path)
            self.window.add(found)
            new += found
            for entry in found:
                self.counts.add(entry)
            batch = self._batches.setdefault(segment.writer, _Batch(segment))
            batch.segments.append(segment.path)
            batch.entries += found
            batch.bytes += sum(entry.size for entry in found)
            if batch.bytes >= _BATCH_BYTES:
                self._commit(segment.writer)
        for writer, batch in list(self._batches.items()):
            if monotonic() - batch.began >= self._seconds:
                self._commit(writer)
        return new

    def flush(self) -> None:
        """Make files of all that was taken in."""
        for writer in list(self._batches):
            self._commit(writer)

    def tidy(self) -> None:
        """Keep the outbox within its share of the disk."""
        dropped = self.outbox.make_room()
        if dropped is not None:
            gap = Gap("", dropped.since, "disk", dropped.events)
            self.counts.add(gap)
            self.window.add([gap])
            told = replace(gap, count=dropped.events + dropped.before)
            self._write(f"gap-{int(time() * 1000)}", [told], [], told.count or 0)

    def lag(self) -> float:
        """Seconds that the oldest segment which is not taken in has waited."""
        now = time()
        waits = [
            now - item.path.stat().st_mtime for item in finished(self.folder) if _waits(item, self._taken)
        ]
        return max(waits, default=0.0)

    def _commit(self, writer: str) -> None:
        batch = self._batches.pop(writer)
        try:
            self._write(f"{writer}-{batch.first.number}", batch.entries, batch.segments)
        except OSError as error:
            log.error("events of %s stay in their segments: %s", self.name, error)
            batch.began = monotonic()
            self._batches[writer] = batch
            return
        self._taken.difference_update(batch.segments)

    def _write(self, name: str, found: list[Entry], segments: list[Path], given_up: int = 0) -> None:
        namespace = self.settings.namespace
        events, now = Events(namespace, self.name), time()
        rows: list[Row] = [row for entry in found for row in events.rows(entry, now)]
        first = found[0].time if found else now
        date = datetime.fromtimestamp(first, UTC).date().isoformat()
        # In front: the numbers at the end say which file is newer.
        name = f"{self._place}.{name}" if self._place else name
        key = f"{namespace}/{self.name}/date={date}/{name}.parquet"
        self.outbox.commit(key, table(rows), segments, given_up)


def _waits(segment: Segment, taken: set[Path]) -> bool:
    return segment.path not in taken and segment.path.exists()
