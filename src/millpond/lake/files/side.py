"""What a transfer needs of either end: a lake, a folder of this machine, or another cloud's store.

A key names a file within its side: ``bucket/path`` in a store, an absolute path in a folder. A folder's key
ends with a slash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

Tell = Callable[[int], None]
"""Is told the bytes that were moved since it was last called; negative when they have to be moved again.

Raises InterruptedError when the transfer is to be given up.
"""


@dataclass(frozen=True)
class Item:
    """A file: its key, size in bytes, time of change (seconds since 1970), and the store's word for it."""

    key: str
    size: int
    modified: float = 0.0
    etag: str = ""


@dataclass(frozen=True)
class Level:
    """What stands directly in a folder."""

    folders: tuple[str, ...]
    items: tuple[Item, ...]


class Side(Protocol):
    """One end of a transfer."""

    def show(self, key: str) -> str:
        """The key as a person writes it."""

    def stat(self, key: str) -> Item | None:
        """The file, or None where there is none; a folder is none."""

    def walk(self, folder: str) -> Iterator[Item]:
        """All files below a folder, in the order of their keys."""

    def level(self, folder: str) -> Level:
        """What stands directly in a folder; in the store itself (``""``) those are the buckets."""

    def read(self, key: str) -> Iterator[bytes]:
        """The file's bytes, in pieces."""

    def fetch(self, item: Item, target: Path, tell: Tell) -> None:
        """Copy a file to this machine; the target is there whole or not at all."""

    def store(self, source: Path, key: str, tell: Tell) -> None:
        """Copy a file of this machine to the key; whole or not at all."""

    def copy(self, item: Item, other: Any, key: str) -> bool:
        """Copy a file to another side without bringing it here; False where that cannot be."""

    def delete(self, keys: Iterable[str]) -> dict[str, str]:
        """Delete files; what was refused, with why."""

    def make(self, bucket: str) -> None:
        """Make a bucket; it may be there."""
