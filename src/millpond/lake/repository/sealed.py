"""Objects that the store keeps encrypted, and whoever has the data key reads as they were.

An object is cut into segments of 64 KiB, each under AES-256-GCM; after them stands the length of what they
hold, in 8 bytes. So a part of a pack is read without the rest. The key of an object is derived from the data
key and from the object's own name, so that a store that hands out one for another is found out. The nonce of
a segment is its number and whether it is the last, so that none can be left out, moved or cut off: the STREAM
construction (https://eprint.iacr.org/2015/189), as age has it. Packs and commits are written once under a
name that nothing else has; what changes under its name begins with 32 random bytes that enter its key.

Of a repository the store still sees how many objects there are, their sizes and times, and the names of
branches and tags. It can hand out an older state, or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from millpond.lake.repository.objects import Listed, Objects
from millpond.lake.repository.pack import DamagedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SEGMENT = 64 << 10
_TAG = 16
_STORED = SEGMENT + _TAG
_LENGTH = 8
_SALT = 32
_ONCE = ("packs/", "commits/")


class SealedObjects:
    """The objects below one place, encrypted.

    Args:
        objects: where they are.
        key: the data key, 32 bytes.
        prefix: where this place is below the one that the key is for.
    """

    def __init__(self, objects: Objects, key: bytes, prefix: str = "") -> None:
        self.uri = objects.uri
        self._objects, self._key, self._prefix = objects, key, prefix

    def under(self, prefix: str) -> Objects:
        return SealedObjects(self._objects.under(prefix), self._key, self._prefix + prefix)

    def read(self, key: str) -> bytes:
        return self._opened(key, self._objects.read(key))

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        found = self._objects.read_version(key)
        return None if found is None else (self._opened(key, found[0]), found[1])

    def read_range(self, key: str, start: int, length: int) -> bytes:
        if not self._is_once(key):
            return self.read(key)[start : start + length]
        if length <= 0:
            return b""
        first, last = start // SEGMENT, (start + length - 1) // SEGMENT
        stored = self._objects.read_range(key, first * _STORED, (last + 1 - first) * _STORED)
        data = self._segments(key, b"", stored, first, last + 1 - first)
        return data[start - first * SEGMENT :][:length]

    def read_tail(self, key: str, length: int) -> bytes:
        if not self._is_once(key):
            return self.read(key)[-length:]
        # Enough for whole segments, wherever they are cut.
        segments = -(-length // SEGMENT) + 1
        stored = self._objects.read_tail(key, segments * _STORED + _LENGTH)
        size = int.from_bytes(stored[-_LENGTH:], "big")
        stored = stored[:-_LENGTH]
        whole = size + _TAG * _count(size)
        begin = whole - len(stored)  # where in the object what was read begins
        first = -(-begin // _STORED)
        if begin < 0 or first >= _count(size):
            raise self._damaged(key)
        return self._segments(key, b"", stored[first * _STORED - begin :], first)[-length:]

    def create(self, key: str, data: bytes) -> None:
        self._objects.create(key, self._sealed(key, data))

    def swap(self, key: str, data: bytes, version: str) -> None:
        self._objects.swap(key, self._sealed(key, data), version)

    def below(self, prefix: str = "") -> list[Listed]:
        return self._objects.below(prefix)

    def folders(self) -> list[str]:
        return self._objects.folders()

    def delete(self, keys: Iterable[str]) -> None:
        self._objects.delete(keys)

    def _is_once(self, key: str) -> bool:
        return (self._prefix + key).startswith(_ONCE)

    def _sealed(self, key: str, data: bytes) -> bytes:
        salt = b"" if self._is_once(key) else os.urandom(_SALT)
        cipher = self._cipher(key, salt)
        view, count = memoryview(data), _count(len(data))
        parts = [
            cipher.encrypt(_nonce(number, number == count - 1), view[number * SEGMENT :][:SEGMENT], None)
            for number in range(count)
        ]
        return b"".join([salt, *parts, len(data).to_bytes(_LENGTH, "big")])

    def _opened(self, key: str, stored: bytes) -> bytes:
        salt, body = (b"", stored) if self._is_once(key) else (stored[:_SALT], stored[_SALT:])
        data = self._segments(key, salt, body[:-_LENGTH], 0)
        if len(data) != int.from_bytes(body[-_LENGTH:], "big"):
            raise self._damaged(key)
        return data

    def _segments(self, key: str, salt: bytes, stored: bytes, first: int, count: int | None = None) -> bytes:
        """The bytes of segments in a row, the last of which is the object's last.

        Args:
            first: the number of the first one.
            count: how many at most, where others may follow, or what stands behind the last one.
        """
        from cryptography.exceptions import InvalidTag

        cipher, view = self._cipher(key, salt), memoryview(stored)
        found: list[bytes] = []
        for begin in range(0, max(len(view), 1), _STORED):
            piece, number = view[begin : begin + _STORED], first + begin // _STORED
            ends = begin + _STORED >= len(view)
            ways = [(piece, ends)]
            if count is not None:
                # Whether it is the last is not known here, nor how much of the length came with it: each way
                # is tried, and only one can be right.
                ways = [(piece, False), *((piece[: len(piece) - more], True) for more in range(_LENGTH + 1))]
            for body, is_last in ways:
                try:
                    found.append(cipher.decrypt(_nonce(number, is_last), body, None))
                    break
                except (InvalidTag, ValueError):
                    continue
            else:
                raise self._damaged(key)
            if len(found) == count or is_last:
                break
        return b"".join(found)

    def _cipher(self, key: str, salt: bytes) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        name = f"millpond object {self._prefix}{key}".encode()
        return AESGCM(HKDF(SHA256(), 32, salt, name).derive(self._key))

    def _damaged(self, key: str) -> DamagedError:
        return DamagedError(
            f"{self.uri}{key} is not what was encrypted there",
            hint="`millpond repo fsck` tells what else is damaged",
        )


def _count(size: int) -> int:
    """How many segments hold so many bytes: one at least."""
    return max(1, -(-size // SEGMENT))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])
