"""What is at a place: a file, a folder's contents, or what a pattern matches."""

from __future__ import annotations

from collections.abc import Iterator

from millpond.lake.files.place import Place
from millpond.lake.files.side import Item
from millpond.model.errors import MillpondError, UsageError


def listed(place: Place, *, recursive: bool = False) -> tuple[list[str], list[Item]]:
    """The folders and the files at a place; nothing where there is nothing."""
    if place.is_pattern:
        return [], list(place.matches())
    if place.key and (item := place.side.stat(place.key)):
        return [], [item]
    if recursive and place.key:
        return [], list(place.side.walk(place.folder))
    level = place.side.level(place.folder)
    if recursive:
        return [], [item for folder in level.folders for item in place.side.walk(folder)]
    return list(level.folders), list(level.items)


def files(place: Place, *, recursive: bool = False, missing_ok: bool = False) -> Iterator[Item]:
    """The files that a command means by a place.

    Raises:
        UsageError: it is a folder and `recursive` is not said.
        MillpondError: there is nothing, and that is not `missing_ok`.
    """
    if place.is_pattern:
        found = list(place.matches())
        if not found and not missing_ok:
            raise MillpondError(f"nothing matches {place.text}", hint="* stays in a folder, ** crosses them")
        yield from found
        return
    item = place.side.stat(place.key)
    if item is not None:
        yield item
        return
    inside = place.side.walk(place.folder)
    first = next(inside, None)
    if first is None:
        is_bucket = not place.local and "/" not in place.key.rstrip("/")
        if missing_ok or (recursive and is_bucket):
            return
        raise MillpondError(f"there is no {place.text}", hint="`millpond lake ls` lists what there is")
    if not recursive:
        raise UsageError(f"{place.text} is a folder", hint="-r takes what is in it, a pattern some of it")
    yield first
    yield from inside
