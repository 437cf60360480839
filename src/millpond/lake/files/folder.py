"""A folder of this machine as one end of a transfer, or as the whole lake where there is no store."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from millpond.lake.files.side import Item, Level, Tell

_PIECE = 1 << 20
_UNFINISHED = ".millpond-"


class Folder:
    """Files below a root; without one, keys are absolute paths."""

    def __init__(self, root: Path | None = None) -> None:
        self._root = root

    def path(self, key: str) -> Path:
        """Where a file is on this machine."""
        return self._root / key if self._root else Path(key)

    def show(self, key: str) -> str:
        return key

    def stat(self, key: str) -> Item | None:
        path = self.path(key)
        if key.endswith("/") or not path.is_file():
            return None
        found = path.stat()
        return Item(key, found.st_size, found.st_mtime)

    def walk(self, folder: str) -> Iterator[Item]:
        top = self.path(folder)
        for place, folders, names in os.walk(top):
            folders.sort()
            inner = Path(place).relative_to(top).as_posix()
            before = folder if inner == "." else f"{folder}{inner}/"
            for name in sorted(names):
                path = Path(place, name)
                if not name.startswith(_UNFINISHED) and path.is_file():
                    found = path.stat()
                    yield Item(before + name, found.st_size, found.st_mtime)

    def level(self, folder: str) -> Level:
        top = self.path(folder)
        if not top.is_dir():
            return Level((), ())
        entries = sorted(top.iterdir())
        items = [
            self.stat(folder + entry.name) for entry in entries if not entry.name.startswith(_UNFINISHED)
        ]
        folders = tuple(f"{folder}{entry.name}/" for entry in entries if entry.is_dir())
        return Level(folders, tuple(item for item in items if item))

    def read(self, key: str) -> Iterator[bytes]:
        with self.path(key).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    def fetch(self, item: Item, target: Path, tell: Tell) -> None:
        self._write(self.path(item.key), target, tell)

    def store(self, source: Path, key: str, tell: Tell) -> None:
        self._write(source, self.path(key), tell)

    def _write(self, source: Path, target: Path, tell: Tell) -> None:
        with landing(target) as made, source.open("rb") as reader, made.open("wb") as writer:
            while piece := reader.read(_PIECE):
                writer.write(piece)
                tell(len(piece))

    def copy(self, item: Item, other: Any, key: str) -> bool:
        return False

    def make(self, bucket: str) -> None:
        self.path(bucket).mkdir(parents=True, exist_ok=True)

    def delete(self, keys: Iterable[str]) -> dict[str, str]:
        refused: dict[str, str] = {}
        for key in keys:
            try:
                self.path(key).unlink()
            except OSError as error:
                refused[key] = error.strerror or str(error)
        return refused


class landing:  # noqa: N801 - reads as a verb where it is used
    """A file beside the target that takes its place when all went well, and is gone otherwise."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._folder: Path | None = None

    def __enter__(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self._target.parent))
        return self._folder / "file"

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        assert self._folder is not None
        try:
            if kind is None:
                (self._folder / "file").replace(self._target)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
