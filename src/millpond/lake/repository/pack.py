"""Packs: many blobs in one object, with an index at the end. A blob is a chunk of a file or a node of a tree.

    MPACK001  blob  blob  …  index  length of the index (8 bytes, big-endian)  MPACKEND

A blob is the bytes themselves, or a zstd frame of them where that is shorter: *stored* less than *length*
says so. The index is a zstd frame of JSON, ``[[id, offset, stored, length], …]``; an id is the SHA-256 of
the bytes. Trees name their blobs with offset and pack, so readers need no index; writers, who look for what
is there already, and repairs do.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from typing import Any, NamedTuple

from millpond.lake.repository.objects import Objects
from millpond.model.errors import MillpondError

HEAD = b"MPACK001"
END = b"MPACKEND"
FULL = 16 << 20
_TAIL = 64 << 10
_LEVEL = 1
_SAMPLE = 32 << 10
_local = threading.local()


class DamagedError(MillpondError):
    """What the repository keeps is not what was written."""


class Blob(NamedTuple):
    """Bytes by their content, and where they are; `pack` is the name of a pack."""

    id: str
    pack: str
    offset: int
    stored: int
    length: int


class Pack:
    """A pack in the making; its name is random, so that no two writers ever mean the same object."""

    def __init__(self) -> None:
        self.name = secrets.token_hex(16)
        self.blobs: list[Blob] = []
        self._parts: list[bytes] = [HEAD]
        self.size = len(HEAD)

    def add(self, id: str, payload: bytes, length: int) -> Blob:  # noqa: A002 - the field's name
        """Append what `squeeze` made of a blob."""
        blob = Blob(id, self.name, self.size, len(payload), length)
        self._parts.append(payload)
        self.size += len(payload)
        self.blobs.append(blob)
        return blob

    @property
    def full(self) -> bool:
        """Whether it is time for the next one."""
        return self.size >= FULL

    def bytes(self) -> bytes:
        """The object."""
        rows = [[blob.id, blob.offset, blob.stored, blob.length] for blob in self.blobs]
        index = _compressor().compress(json.dumps(rows, separators=(",", ":")).encode())
        return b"".join([*self._parts, index, len(index).to_bytes(8, "big"), END])


def key_of(pack: str) -> str:
    """Where a pack is in its repository."""
    return f"packs/{pack}.pack"


def digest(data: bytes | memoryview) -> str:
    """The id of a blob."""
    return hashlib.sha256(data).hexdigest()


def squeeze(data: bytes) -> bytes:
    """The bytes as they are stored: compressed where that is worth it."""
    if len(data) < 64:
        return data
    compressor = _compressor()
    if len(data) > 4 * _SAMPLE:
        middle = len(data) // 2
        sample = data[middle : middle + _SAMPLE]
        if len(compressor.compress(sample)) > 0.97 * len(sample):
            return data
    made: bytes = compressor.compress(data)
    return made if len(made) < len(data) else data


def expand(blob: Blob, payload: bytes, *, of: str = "a file") -> bytes:
    """The bytes of a blob, proved to be those that were written.

    Raises:
        DamagedError: they are not.
    """
    import zstandard

    data = payload
    if blob.stored != blob.length:
        try:
            data = _decompressor().decompress(payload, max_output_size=blob.length)
        except zstandard.ZstdError:
            data = b""
    if len(data) != blob.length or digest(data) != blob.id:
        raise DamagedError(
            f"a part of {of} in the pack {blob.pack} is damaged",
            hint="`millpond repo fsck` tells what else is; put the file again to mend the newest version",
        )
    return data


def read_index(objects: Objects, pack: str, size: int | None = None) -> list[Blob]:
    """The blobs of a pack, from the index at its end.

    Raises:
        AbsentError: there is no such pack.
        DamagedError: it has no index.
    """
    tail = objects.read_tail(key_of(pack), _TAIL if size is None else min(_TAIL, size))
    if tail[-8:] != END:
        raise DamagedError(f"the pack {pack} has no end", hint="`millpond repo fsck` tells what it held")
    length = int.from_bytes(tail[-16:-8], "big")
    if length + 16 > len(tail):
        tail = objects.read_tail(key_of(pack), length + 16)
    try:
        rows = json.loads(_decompressor().decompress(tail[-16 - length : -16]))
    except Exception:
        raise DamagedError(f"the index of the pack {pack} is damaged") from None
    return [Blob(row[0], pack, row[1], row[2], row[3]) for row in rows]


def _compressor() -> Any:
    found = getattr(_local, "compressor", None)
    if found is None:
        import zstandard

        found = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True)
    return found


def _decompressor() -> Any:
    found = getattr(_local, "decompressor", None)
    if found is None:
        import zstandard

        found = _local.decompressor = zstandard.ZstdDecompressor()
    return found
