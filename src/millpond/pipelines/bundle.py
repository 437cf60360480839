"""A pipeline's folder as one content-addressed zip, and its modules in a worker that outlives many of them.

Workers run the code that was sent with the run, never what lies about on their disk. Edited code has
another digest, so it is unpacked beside the old; the old one's modules leave ``sys.modules`` first.
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib
import io
import os
import shutil
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millpond.model.errors import MillpondError

LARGEST = 64 << 20
IGNORE = ".millpondignore"
_SKIPPED = {"__pycache__", "node_modules"}


def pack(folder: Path) -> tuple[bytes, str]:
    """The zip of a folder and its digest; the same files give the same bytes.

    Hidden files, virtual environments, ``__pycache__``, and what ``.millpondignore`` names (one shell
    pattern per line) stay out.

    Raises:
        MillpondError: the files are larger than 64 MiB together.
    """
    files = list(_files(folder))
    total = sum(file.stat().st_size for file in files)
    if total > LARGEST:
        largest = sorted(files, key=lambda file: -file.stat().st_size)[:3]
        named = ", ".join(file.relative_to(folder).as_posix() for file in largest)
        raise MillpondError(
            f"the pipeline's folder has {total >> 20} MiB; at most {LARGEST >> 20} MiB travel as code",
            hint=f"put data into the lake, or name it in {IGNORE}; the largest are {named}",
        )
    buffer = io.BytesIO()
    names = hashlib.sha256()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            name, data = file.relative_to(folder).as_posix(), file.read_bytes()
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if os.access(file, os.X_OK) else 0o644) << 16
            archive.writestr(entry, data)
            names.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return buffer.getvalue(), names.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    ignore = folder / IGNORE
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.is_file() else []
    patterns = [line.strip().rstrip("/") for line in lines if line.strip() and not line.startswith("#")]
    for top, folders, names in os.walk(folder):
        here = Path(top)
        folders[:] = sorted(name for name in folders if not _left_out(here / name, folder, patterns))
        for name in sorted(names):
            file = here / name
            if not _left_out(file, folder, patterns) and not name.endswith(".pyc") and file.is_file():
                yield file


def _left_out(path: Path, folder: Path, patterns: list[str]) -> bool:
    name = path.name
    if name.startswith(".") or (path.is_dir() and (name in _SKIPPED or (path / "pyvenv.cfg").exists())):
        return True
    relative = path.relative_to(folder).as_posix()
    return any(fnmatch.fnmatch(relative, pattern) or fnmatch.fnmatch(name, pattern) for pattern in patterns)


class CodeSpace:
    """The one bundle that a process imports from at a time; steps of another one wait until it is free."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._folder: Path | None = None
        self._users = 0

    @contextmanager
    def use(self, bundle: bytes, digest: str, home: Path) -> Iterator[Path]:
        """Make a bundle importable, and give the folder that it is unpacked in."""
        with self._changed:
            folder = home / "code" / digest[:32]
            while self._users and self._folder != folder:
                self._changed.wait()
            if self._folder != folder or not folder.is_dir():
                unpack(bundle, folder)
                self._switch(folder)
            self._users += 1
        try:
            yield folder
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def _switch(self, folder: Path) -> None:
        old = self._folder
        if old is not None:
            sys.path[:] = [entry for entry in sys.path if entry != str(old)]
            for name, module in list(sys.modules.items()):
                file = getattr(module, "__file__", None)
                places = [file] if file else list(getattr(module, "__path__", []))
                if any(str(place).startswith(f"{old}{os.sep}") for place in places):
                    del sys.modules[name]
            shutil.rmtree(old, ignore_errors=True)
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        self._folder = folder


def unpack(bundle: bytes, folder: Path) -> None:
    """Unpack a folder's zip, whole or not at all; nothing where it is there already."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=folder.parent) as made:
        inner = Path(made) / "code"
        inner.mkdir()
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            for entry in archive.infolist():
                target = Path(archive.extract(entry, inner))
                target.chmod(entry.external_attr >> 16)
        try:
            inner.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
