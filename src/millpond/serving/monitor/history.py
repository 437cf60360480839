"""What the lake has of a deployment from before the window: for questions that reach further back.

Files are found by their day, and read from the newest back until enough bytes were read, so that a question
about a year does not fill the memory.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta

from pyarrow import parquet

from millpond.lake.reference import LakePath
from millpond.lake.store import Store
from millpond.serving.monitor.events import entries
from millpond.serving.monitor.record import Entry

_BYTES = 64 * 1024 * 1024
_DAY = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")


class History:
    """The events of a bucket. `limit` is the bytes of Parquet that one question may read."""

    def __init__(self, store: Store, bucket: str, limit: int = _BYTES) -> None:
        self._store = store
        self._bucket = bucket
        self._limit = limit

    def load(self, namespace: str, deployment: str, since: float, until: float) -> tuple[list[Entry], bool]:
        """The entries of a time in Unix seconds, oldest first, and whether these are all of them.

        Raises:
            MillpondError: the lake refuses.
        """
        prefix = f"{namespace}/{deployment}/"
        # A batch stands under the day on which it began.
        first = (datetime.fromtimestamp(since, UTC) - timedelta(days=1)).date().isoformat()
        last = datetime.fromtimestamp(until, UTC).date().isoformat()
        keys = [key for key in self._store.list(self._bucket, prefix) if first <= _day(key) <= last]
        found: list[Entry] = []
        read = 0
        for key in sorted(keys, key=_age, reverse=True):
            if read >= self._limit:
                return sorted(found, key=_time), False
            data = self._store.read(LakePath(self._bucket, key))
            read += len(data)
            table = parquet.read_table(io.BytesIO(data))
            found += [entry for entry in entries(table) if since <= entry.time < until]
        return sorted(found, key=_time), True


def _time(entry: Entry) -> float:
    return entry.time


def _day(key: str) -> str:
    found = _DAY.search(key)
    return found[1] if found else ""


def _age(key: str) -> tuple[str, list[int]]:
    """Newer files come later: by day, by the start of their process, by their number."""
    numbers = key.rpartition("/")[2].removesuffix(".parquet").rsplit("-", 3)[1:]
    return _day(key), [int(number) for number in numbers if number.isdecimal()]
