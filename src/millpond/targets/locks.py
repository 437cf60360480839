"""Reads lock files, and says what one lacks to be trusted.

A lock is trusted when every package in it has an exact version and a hash. ``tools/lock.py`` writes into the
head of a ``requirements.lock`` for which platforms all of its packages have wheels.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)(\[[^\]]*\])?==(?P<version>[^\s;\\]+)\s*(;(?P<marker>[^\\]*?))?\s*(?=--hash|$)"
)
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_HEAD = re.compile(r"#\s*(platforms|build|exclude-newer):\s*(.*)")
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_COORDINATE = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Pin:
    """One package of a ``requirements.lock``; ``marker`` is empty where it holds everywhere."""

    name: str
    version: str
    marker: str
    hashes: int


@dataclass(frozen=True)
class Requirements:
    """A ``requirements.lock`` as read.

    Attributes:
        platforms: that the head says all packages have wheels for; empty if it does not say.
        builds: packages that may be built from source, from a line ``# build: name name``.
        date: nothing newer was looked at when the lock was made (``# exclude-newer:``), or empty.
        problems: why it cannot be trusted, one line each; empty when all is well.
    """

    pins: tuple[Pin, ...]
    platforms: tuple[str, ...]
    builds: frozenset[str]
    date: str
    problems: tuple[str, ...]

    @property
    def build_rules(self) -> tuple[str, ...]:
        """uv's words for: only wheels, as a build runs code and fetches tools that no lock holds.

        A lock can name exceptions, and no package but these is built.
        """
        if not self.builds:
            return ("--no-build",)
        names = sorted({pin.name for pin in self.pins if pin.name not in self.builds})
        rules = tuple(word for name in names for word in ("--only-binary", name))
        # The tools of a build are in no lock; the date at least keeps them what they were when it was made.
        return (*rules, "--exclude-newer", self.date) if self.date else rules

    @classmethod
    def parse(cls, text: str, source: str) -> Requirements:
        """Reads the text; ``source`` names it in problems."""
        pins: list[Pin] = []
        problems: list[str] = []
        head: dict[str, tuple[str, ...]] = {}
        joined = re.sub(r"\\\n", " ", text)
        for number, raw in enumerate(joined.splitlines(), start=1):
            if found := _HEAD.match(raw):
                head[found[1]] = tuple(found[2].split())
            line = re.sub(r"(^|\s)#.*", "", raw).strip()
            if not line:
                continue
            found = _PIN.match(line)
            if not found:
                problems.append(
                    f"{source}: entry {number} is not a package with an exact version: {line[:60]}"
                )
                continue
            hashes = len(_HASH.findall(line))
            if not hashes:
                problems.append(f"{source}: {found['name']} has no sha256")
            pins.append(
                Pin(_normal(found["name"]), found["version"], (found["marker"] or "").strip(), hashes)
            )
        if not pins and not problems:
            problems.append(f"{source}: names no package")
        builds = frozenset(_normal(name) for name in head.get("build", ()))
        date = " ".join(head.get("exclude-newer", ()))
        return cls(tuple(pins), head.get("platforms", ()), builds, date, tuple(problems))


@dataclass(frozen=True)
class Jar:
    """One line of a ``jars.lock``: ``group:artifact:version[:classifier] sha256:...``."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file name, as Maven names it."""
        return "-".join(filter(None, (self.artifact, self.version, self.classifier))) + ".jar"

    @property
    def path(self) -> str:
        """Its path below a repository's base URL (Maven repository layout 2)."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.file}"


@dataclass(frozen=True)
class Deb:
    """One line of a ``packages.lock``: ``name[:architecture] version sha256``."""

    name: str
    architecture: str
    version: str
    sha256: str


def read_jars(text: str, source: str) -> tuple[Jar, ...]:
    """Reads a ``jars.lock``.

    Raises:
        ValueError: a line is not as it must be; the message names file and line.
    """
    jars = []
    for number, words in _lines(text):
        parts = words[0].split(":")
        sha = _SHA256.fullmatch(words[1]) if len(words) == 2 else None
        if not sha or len(parts) not in (3, 4) or not all(map(_COORDINATE.fullmatch, parts)):
            raise ValueError(f"{source}:{number}: not `group:artifact:version[:classifier] sha256:...`")
        jars.append(Jar(parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else "", sha[1]))
    return tuple(jars)


def read_debs(text: str, source: str) -> tuple[Deb, ...]:
    """Reads a ``packages.lock``.

    Raises:
        ValueError: a line is not as it must be; the message names file and line.
    """
    debs = []
    for number, words in _lines(text):
        sha = _SHA256.fullmatch(words[2]) if len(words) == 3 else None
        name, _, architecture = words[0].partition(":")
        if (
            not sha
            or not re.fullmatch(r"[a-z0-9][a-z0-9.+-]*", name)
            or not re.fullmatch(r"[\w.+:~-]+", words[1])
        ):
            raise ValueError(f"{source}:{number}: not `name[:architecture] version sha256`")
        debs.append(Deb(name, architecture, words[1], sha[1]))
    return tuple(debs)


def npm_problems(text: str, source: str) -> tuple[str, ...]:
    """Why a ``package-lock.json`` cannot be trusted; empty when all is well."""
    try:
        document: dict[str, Any] = json.loads(text)
        packages: dict[str, dict[str, Any]] = document["packages"]
    except (ValueError, KeyError, TypeError):
        return (f"{source}: not a package-lock.json of lockfileVersion 2 or 3",)
    return tuple(
        f"{source}: {name} has no integrity"
        for name, entry in packages.items()
        if name and not entry.get("integrity") and not entry.get("link")
    )


def _lines(text: str) -> list[tuple[int, list[str]]]:
    numbered = (
        (number, line.partition("#")[0].split()) for number, line in enumerate(text.splitlines(), start=1)
    )
    return [(number, words) for number, words in numbered if words]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
