"""A file of a commit as an open file: read where it is looked at, chunk by chunk."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate

from millpond.lake.repository.download import Reader
from millpond.lake.repository.tree import Entry

_KEPT = 8
_AHEAD = 4


class CommittedFile(io.RawIOBase):
    """The bytes of one version of one file; seekable, read-only. Read on, it fetches some chunks ahead."""

    def __init__(self, reader: Reader, entry: Entry) -> None:
        super().__init__()
        self.name = entry.path
        self.size = entry.size
        self._reader, self._blobs = reader, entry.blobs
        self._starts = list(accumulate((blob.length for blob in entry.blobs), initial=0))
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._at = 0
        self._last = -1

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"{self.name} has nothing before its beginning")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if self._at >= self.size or not len(view):
            return 0
        index = bisect_right(self._starts, self._at) - 1
        data = self._chunk(index)
        begin = self._at - self._starts[index]
        part = data[begin : begin + len(view)]
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def _chunk(self, index: int) -> bytes:
        if index not in self._kept:
            ahead = _AHEAD if index == self._last + 1 else 1
            wanted = self._blobs[index : index + ahead]
            found = self._reader.contents(wanted)
            for number, blob in enumerate(wanted, index):
                self._kept[number] = found[blob.id]
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._last = index
        return self._kept[index]
