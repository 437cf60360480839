"""The kind ``millpond``: a copy of the running package, for services that are Millpond's own.

Such services run in a venv that is not the command line's. They get this copy by PYTHONPATH, under the hash
of its content: an upgrade of Millpond does not change the code under a service that runs, and shows as a
change in the plan.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import millpond
from millpond.targets.local.installs.places import open_folder
from millpond.targets.local.installs.request import InstallError, Kind, Layout

if TYPE_CHECKING:
    from millpond.targets.local.installs.maker import Work


class OverlayMaker:
    """Copies the package ``millpond``.

    Args:
        root: of the store; the content's hash is remembered there by the files' times and sizes.
        package: the folder to copy; by default that of the running package.
    """

    kind: Kind = "millpond"

    def __init__(self, root: Path, package: Path | None = None) -> None:
        self.package = package or Path(millpond.__file__).resolve().parent
        self.root = root

    def identity(self) -> bytes:
        """The hash of all files; a few milliseconds when none was touched since the last time."""
        state = hashlib.sha256()
        for name, entry in sorted(_files(self.package)):
            found = entry.stat()
            state.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode())
        name = hashlib.sha256(os.fsencode(self.package)).hexdigest()[:16]
        remembered = self.root / "millpond" / f"{name}.hash"
        with suppress(OSError, ValueError):
            known_state, content = remembered.read_text().split()
            if known_state == state.hexdigest():
                return content.encode()
        content = _content(self.package)
        with suppress(OSError):
            open_folder(remembered.parent)
            fresh = remembered.with_suffix(f".{os.getpid()}.new")
            fresh.write_text(f"{state.hexdigest()} {content}\n")
            fresh.rename(remembered)
        return content.encode()

    def layout(self, target: Path) -> Layout:
        """The folder that holds the package, on PYTHONPATH."""
        return Layout({"millpond": target}, env={"PYTHONPATH": str(target)})

    def intact(self, target: Path) -> bool:
        """Leans on nothing outside."""
        return True

    async def make(self, target: Path, work: Work) -> None:
        """Copies with times, so that bytecode which the command line has made already stays valid."""
        self._copy(target / "millpond")
        if _content(target / "millpond").encode() != self.identity():
            raise InstallError(
                f"{work.component}: Millpond's own files changed while they were copied", hint="run it again"
            )
        work.report("compile")
        # Only what has no valid bytecode yet; what does not compile is for the service to complain about.
        await work.run([sys.executable, "-m", "compileall", "-q", target / "millpond"])

    def _copy(self, copy: Path) -> None:
        tag = f".{sys.implementation.cache_tag}.pyc"
        for name, entry in sorted(_files(self.package)):
            wanted = copy / name
            open_folder(wanted.parent)
            shutil.copy2(entry.path, wanted)
            wanted.chmod(0o644)
            if name.endswith(".py"):
                source = Path(entry.path)
                compiled = source.parent / "__pycache__" / f"{source.stem}{tag}"
                with suppress(OSError):
                    cache = open_folder(wanted.parent / "__pycache__")
                    shutil.copy2(compiled, cache / compiled.name)
                    (cache / compiled.name).chmod(0o644)


def package_hash(root: Path) -> str:
    """The hash of the running package's files, remembered under the store's `root`."""
    return OverlayMaker(root).identity().decode()


def _content(package: Path) -> str:
    digest = hashlib.sha256()
    for name, entry in sorted(_files(package)):
        data = Path(entry.path).read_bytes()
        digest.update(f"{name}\0{len(data)}\0".encode())
        digest.update(data)
    return digest.hexdigest()


def _files(folder: Path, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if (
                entry.name.startswith(".")
                or entry.name == "__pycache__"
                or entry.name.endswith((".pyc", "~"))
            ):
                continue
            if entry.is_dir():
                yield from _files(Path(entry.path), f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry
