"""Log files read from their end, merged, and followed across rotation.

Rotation copies a log to ``NAME.1`` and empties it. A reader that finds its file shorter than it has read
takes the rest from the copy first.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from millpond.cli.style import faint, out

_PAUSE = 0.2
_CHUNK = 1 << 16


@dataclass
class _File:
    path: Path
    prefix: str
    read: int = 0
    rest: bytes = b""


class Tail:
    """Several logs as one.

    Args:
        paths: the log files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        names = [path.stem for path in paths]
        width = max(len(name) for name in names)
        self._files = [
            _File(path, f"{name:<{width}} │ " if len(paths) > 1 else "")
            for path, name in zip(paths, names, strict=True)
        ]

    def last(self, lines: int) -> None:
        """Print the last lines of each file; a rotated one is taken in where it is needed."""
        for file in self._files:
            file.read = _size(file.path)
            found = _last(file.path, lines)
            if len(found) < lines:
                found = _last(file.path.with_name(f"{file.path.name}.1"), lines - len(found)) + found
            for line in found:
                _print(file, line)

    def follow(self) -> None:
        """Print what is written from here on, until interrupted."""
        while True:
            for file in self._files:
                for line in self._news(file):
                    _print(file, line)
            sys.stdout.flush()
            time.sleep(_PAUSE)

    def _news(self, file: _File) -> Iterator[str]:
        size = _size(file.path)
        if size < file.read:
            yield from self._take(file, file.path.with_name(f"{file.path.name}.1"))
            file.read = 0
        if size > file.read:
            yield from self._take(file, file.path)

    def _take(self, file: _File, path: Path) -> Iterator[str]:
        try:
            with path.open("rb") as stream:
                stream.seek(file.read)
                while chunk := stream.read(_CHUNK):
                    file.read += len(chunk)
                    *whole, file.rest = (file.rest + chunk).split(b"\n")
                    for line in whole:
                        yield line.decode(errors="replace")
        except OSError:
            return


def _print(file: _File, line: str) -> None:
    out((faint(file.prefix) if file.prefix else "") + line.rstrip("\r\n"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last(path: Path, lines: int) -> list[str]:
    """The last lines of a file, read backwards in chunks."""
    if lines <= 0:
        return []
    try:
        with path.open("rb") as stream:
            at = stream.seek(0, 2)
            found = b""
            while at > 0 and found.count(b"\n") <= lines:
                step = min(_CHUNK, at)
                at -= step
                stream.seek(at)
                found = stream.read(step) + found
    except OSError:
        return []
    return found.decode(errors="replace").splitlines()[-lines:]
