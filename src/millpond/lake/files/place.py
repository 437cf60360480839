"""A place as a person writes it: which side it is on, its key there, and what it may match.

``raw/x.csv``, ``s3://raw/x.csv`` and ``lake://raw/x.csv`` are the lake's; what begins with ``/``, ``./``,
``../`` or ``~/`` is a file of this machine; ``s3+NAME://`` is the store of a profile; ``az://``, ``abfs://``
and ``gs://`` are clouds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from millpond.model.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from millpond.lake.files.side import Item, Side

_SCHEME = re.compile(r"([a-z][a-z0-9]*)(?:\+([A-Za-z0-9_.-]+))?://(.*)", re.DOTALL)
_LAKE = ("lake", "s3")
_CLOUDS = ("az", "abfs", "abfss", "gs", "gcs")
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Place:
    """A key, or a pattern of keys, on a side.

    Attributes:
        local: whether it is on this machine.
    """

    text: str
    side: Side
    key: str
    local: bool = False

    @property
    def is_pattern(self) -> bool:
        """Whether it may match several."""
        return bool(_MAGIC.search(self.key))

    @property
    def base(self) -> str:
        """The folder from which names are counted: the longest without a pattern."""
        found = _MAGIC.search(self.key)
        fixed = self.key[: found.start()] if found else self.key
        return fixed[: fixed.rfind("/") + 1]

    @property
    def folder(self) -> str:
        """The key as that of a folder."""
        return self.key if not self.key or self.key.endswith("/") else f"{self.key}/"

    def matches(self) -> Iterator[Item]:
        """The files that the pattern matches."""
        wanted = expression(self.key)
        if not self.local and "/" not in self.base:
            # The pattern is for buckets, too.
            for bucket in self.side.level("").folders:
                if re.match(expression(self.key.partition("/")[0]), bucket.rstrip("/")):
                    yield from (item for item in self.side.walk(bucket) if re.fullmatch(wanted, item.key))
            return
        rest = self.key[len(self.base) :]
        found: list[Item] | Iterator[Item] = self.side.walk(self.base)
        if "/" not in rest and "**" not in rest:
            found = list(self.side.level(self.base).items)
        yield from (item for item in found if re.fullmatch(wanted, item.key))


def place(text: str, environment: Mapping[str, str] | None = None) -> Place:
    """Read a place.

    Raises:
        UsageError: it has a scheme that is not known, climbs with ``..``, or is of a versioned repository.
    """
    names = os.environ if environment is None else environment
    if text.startswith(("/", "./", "../", "~/")) or text in (".", "..", "~"):
        from millpond.lake.files.folder import Folder

        path = Path(text).expanduser().absolute()
        ends = "/" if text.endswith(("/", "/.", "/..")) or text in (".", "..", "~") else ""
        normal = os.path.normpath(path)
        return Place(text, Folder(), normal if normal == "/" else normal + ends, local=True)
    scheme, profile, rest = "lake", None, text
    if found := _SCHEME.fullmatch(text):
        scheme, profile, rest = found.groups()
    if scheme not in (*_LAKE, *_CLOUDS) or (profile and scheme != "s3"):
        raise UsageError(
            f"{text} has a scheme that the lake does not know", hint=did_you_mean(scheme, [*_LAKE, *_CLOUDS])
        )
    if scheme == "lake" and "@" in rest.partition("/")[0]:
        raise UsageError(f"{text} is in a versioned repository", hint="`millpond repo get` copies from there")
    key = rest.lstrip("/")
    if ".." in key.split("/"):
        raise UsageError(f"{text} climbs with ..", hint="write the path out")
    if scheme in _CLOUDS:
        from millpond.lake.clouds.filesystem import cloud

        return Place(text, cloud(scheme), key)
    return Place(text, _store(profile, _settings(names)), key)


def _settings(names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    wanted = (
        "MILLPOND_LAKE_ROOT",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
    )
    return tuple((name, names[name]) for name in wanted if names.get(name))


@cache
def _store(profile: str | None, settings: tuple[tuple[str, str], ...]) -> Side:
    names = dict(settings)
    if profile is None and (root := names.get("MILLPOND_LAKE_ROOT")):
        from millpond.lake.files.folder import Folder

        return Folder(Path(root))
    if profile is None and not (names.get("AWS_ENDPOINT_URL") or names.get("AWS_ENDPOINT_URL_S3")):
        raise UsageError(
            "no lake is known here: neither AWS_ENDPOINT_URL nor MILLPOND_LAKE_ROOT is set",
            hint="millpond up, with a flavour that has an object store; s3+PROFILE:// is another store",
        )
    from millpond.lake.files.bucket import Buckets

    return Buckets(names, profile)


@cache
def expression(pattern: str) -> str:
    """A pattern as a regular expression: ``*`` and ``?`` stay within a name, ``**`` crosses folders.

    >>> bool(re.fullmatch(expression("raw/**/*.csv"), "raw/a/b/x.csv"))
    True
    >>> bool(re.fullmatch(expression("raw/*.csv"), "raw/a/x.csv"))
    False
    """
    words = re.findall(r"\*\*/|\*\*|\*|\?|\[[^\]]+\]|.", pattern, re.DOTALL)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    found = []
    for word in words:
        if len(word) > 2 and word.startswith("["):
            inner = word[1:-1].replace("\\", "\\\\")
            found.append(f"[{'^' + inner[1:] if inner.startswith('!') else inner}]")
        else:
            found.append(meanings.get(word, re.escape(word)))
    return "".join(found)
