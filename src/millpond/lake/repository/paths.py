"""Paths inside a repository, and patterns over them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from millpond.model.errors import MillpondError, UsageError, did_you_mean


def clean(path: str, *, folder: bool = False) -> str:
    """A path as a repository keeps it: relative, with slashes, nothing that climbs.

    Args:
        folder: it may be empty, for the top.

    Raises:
        MillpondError: it is no such path.
    """
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts or (not parts and not folder) or any("\0" in part or "\n" in part for part in parts):
        raise MillpondError(f"{path!r} is not a path in a repository", hint="write it as raw/flights.csv")
    return "/".join(parts)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    found = ""
    index = 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            found, index = found + r"(?:.*/)?", index + 3
        elif pattern.startswith("**", index):
            found, index = found + ".*", index + 2
        elif pattern[index] == "*":
            found, index = found + "[^/]*", index + 1
        elif pattern[index] == "?":
            found, index = found + "[^/]", index + 1
        elif pattern[index] == "[" and (end := pattern.find("]", index + 2)) > 0:
            inner = pattern[index + 1 : end].replace("\\", r"\\")
            inner = f"^{inner[1:]}" if inner.startswith("!") else inner
            found, index = f"{found}[{inner}]", end + 1
        else:
            found, index = found + re.escape(pattern[index]), index + 1
    return re.compile(f"{found}(?:/.*)?", re.DOTALL)


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Whether a path is meant by one of some patterns: the file itself, or all below a folder.

    ``*`` stops at a slash, ``**`` does not. Without patterns everything is meant.
    """
    compiled = [_pattern(clean(pattern, folder=True)) for pattern in patterns if clean(pattern, folder=True)]
    if not compiled:
        return lambda path: True
    return lambda path: any(item.fullmatch(path) for item in compiled)


def literal_start(patterns: Iterable[str]) -> str:
    """What all paths begin with that some patterns can mean; a prefix for looking into less."""
    starts = []
    for pattern in patterns:
        text = clean(pattern, folder=True)
        starts.append(re.split(r"[*?\[]", text, maxsplit=1)[0])
    if not starts:
        return ""
    first, last = min(starts), max(starts)
    length = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: min(length, len(last))]


def absent(pattern: str, known: Iterable[str], where: str) -> MillpondError:
    """That nothing is meant by a path or pattern."""
    names = set(known)
    names |= {name.rsplit("/", 1)[0] for name in names if "/" in name}
    hint = did_you_mean(pattern, names) if len(names) <= 5000 else None
    if hint and hint.startswith("known are") and len(names) > 8:
        hint = f"`millpond repo ls {where}` lists what is there"
    return UsageError(f"there is no {pattern} in {where}", hint=hint)
