"""Keeping a folder in step with another: what is new or changed is copied, what is gone may be deleted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from millpond.lake.files.place import Place
from millpond.lake.files.side import Item
from millpond.lake.files.transfer import Move
from millpond.model.errors import MillpondError

_COARSE = 2.0  # seconds: stores and file systems round differently


@dataclass(frozen=True)
class Difference:
    """What makes the target like the source.

    Attributes:
        moves: what is copied.
        extra: files of the target that the source has not.
        same: how many are alike.
    """

    moves: tuple[Move, ...]
    extra: tuple[Item, ...]
    same: int


def difference(source: Place, target: Place, *, checksum: bool = False) -> Difference:
    """Hold two folders against each other.

    Files are alike when their sizes are and the source's was not changed after the target's was written; by
    `checksum` when their MD5 is, where the store tells one.

    Raises:
        MillpondError: the source has nothing in it.
    """
    for place in (source, target):
        if place.is_pattern:
            raise MillpondError(
                f"{place.text} is a pattern, and folders are kept in step", hint="name a folder"
            )
    if not target.local and not target.key:
        raise MillpondError("the target has no bucket", hint="write bucket/folder")
    wanted = {item.key[len(source.folder) :]: item for item in source.side.walk(source.folder)}
    if not wanted:
        raise MillpondError(
            f"there is nothing in {source.text}", hint="`millpond lake rm -r` empties a folder"
        )
    there = {item.key[len(target.folder) :]: item for item in target.side.walk(target.folder)}
    moves = []
    for name, item in wanted.items():
        if ".." in name.split("/"):
            raise MillpondError(f"{source.side.show(item.key)} would leave the target")
        old = there.get(name)
        if old is None or not _alike(item, old, source, target, checksum):
            moves.append(Move(item, source.side, f"{target.folder}{name}", target.side))
    extra = tuple(item for name, item in there.items() if name not in wanted)
    return Difference(tuple(moves), extra, len(wanted) - len(moves))


def _alike(new: Item, old: Item, source: Place, target: Place, checksum: bool) -> bool:
    if new.size != old.size:
        return False
    if checksum:
        return _md5(source, new) == _md5(target, old)
    return new.modified <= old.modified + _COARSE


def _md5(place: Place, item: Item) -> str:
    if len(item.etag) == 32 and not place.local:
        return item.etag
    found = hashlib.md5(usedforsecurity=False)
    for piece in place.side.read(item.key):
        found.update(piece)
    return found.hexdigest()
