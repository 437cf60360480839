"""The store of installs: content-addressed folders that all projects of a user share.

An install stands at ``<root>/<kind>/<key>`` and is made right there, as a venv cannot be moved. It counts
only when its marker is in it, which is written last. Whoever makes it holds a lock, and so do the installers
that were started for it; a folder without a marker under a free lock is what a killed process left, and is
cleared.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from pathlib import Path

from millpond.targets.local.installs.binaries import find_binaries
from millpond.targets.local.installs.causes import system_error
from millpond.targets.local.installs.claim import claim, try_claim
from millpond.targets.local.installs.debian import DebMaker
from millpond.targets.local.installs.maker import Maker, Work
from millpond.targets.local.installs.maven import MavenMaker
from millpond.targets.local.installs.npm import NpmMaker
from millpond.targets.local.installs.overlay import OverlayMaker
from millpond.targets.local.installs.places import (
    SHARED_ROOT,
    default_root,
    open_file,
    open_folder,
    prepare_root,
    readable_by,
)
from millpond.targets.local.installs.python import PipMaker
from millpond.targets.local.installs.request import (
    Install,
    Installed,
    InstallError,
    InstallRequest,
    Layout,
    Progress,
    ProgressCallback,
)

_FORMAT = 1
"""Part of every key: raise it when an installer makes something else from the same lock."""

_MARKER = ".millpond-install.json"
# npm after pip, as Node.js itself may come from a wheel.
_ORDER = ("path", "pip", "deb", "maven", "npm", "millpond")


class InstallStore:
    """Makes installs, finds them again, and lists and removes them.

    Args:
        root: the store's folder; by default :func:`places.default_root`.
        offline: never try the network; what is missing is an error.
        limit: how many installs that are not Python's are made at the same time; those take turns with uv.
        shared_root: takes the place of ``root`` for a reader who cannot enter that.
    """

    def __init__(
        self,
        root: Path | None = None,
        offline: bool = False,
        *,
        limit: int = 4,
        shared_root: Path = SHARED_ROOT,
    ) -> None:
        self.root = (root or default_root()).absolute()
        self.offline = offline
        self._limit = limit
        self._shared_root = shared_root
        self._slots: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            weakref.WeakKeyDictionary()
        )

    async def ensure(
        self, request: InstallRequest, progress: ProgressCallback | None = None, *, reader: int | None = None
    ) -> Install:
        """Makes what is missing of a component's installs, and says where all of it is.

        Any number of these may run at once, here and in other processes: each install is made once. When this
        is cancelled, the installers are killed and nothing half-done is left.

        Args:
            progress: called with what happens, in the event loop's thread.
            reader: the id of the user who runs the component, when Millpond itself is root.

        Raises:
            InstallError: what is missing, why it could not be had, and what to do.
        """
        unknown = set(request.kinds) - set(_ORDER)
        if unknown:
            raise InstallError(f"{request.component}: unknown kind of install: {', '.join(sorted(unknown))}")
        root = self._root_for(request.component, reader)
        tell = progress or (lambda event: None)
        layouts: list[Layout] = []
        keys: list[str] = []
        for kind in _ORDER:
            if not request.kinds.get(kind):
                continue
            if kind == "path":
                layout, key = find_binaries(request.component, request.kinds[kind]), "path"
            else:
                bins = tuple(path for layout in layouts for path in layout.bin)
                try:
                    layout, key = await self._ensure_one(
                        _maker(request, kind, root), request.component, root, bins, tell
                    )
                except OSError as error:
                    raise system_error(request.component, root, error) from error
            layouts.append(layout)
            keys.append(f"{kind}:{key}")
        return Install(
            paths={name: path for layout in layouts for name, path in layout.paths.items()},
            bin=tuple(path for layout in layouts for path in layout.bin),
            env={name: value for layout in layouts for name, value in layout.env.items()},
            key=hashlib.sha256(" ".join(keys).encode()).hexdigest()[:24],
        )

    def installs(self) -> list[Installed]:
        """All finished installs of this store. Sizes count a file that installs share in each of them."""
        return [
            found for folder, kind, key in self._folders() if (found := _read(folder, kind, key)) is not None
        ]

    def remove(self, key: str) -> int:
        """Removes the installs with this key, as :meth:`installs` gives it; nothing may be running from them.

        Returns:
            The bytes of disk that they took.

        Raises:
            InstallError: there is no such install, or it is being made right now.
        """
        folders = [(folder, kind) for folder, kind, found in self._folders() if found == key]
        if not folders:
            raise InstallError(
                f"there is no install {key} in {self.root}", hint="the list of installs has the keys"
            )
        freed = 0
        for folder, kind in folders:
            path = _lock_path(self.root, kind, key)
            open_folder(path.parent)
            lock = try_claim(path)
            if lock is None:
                raise InstallError(
                    f"the install {key} is being made right now", hint="try again when that is done"
                )
            try:
                freed += _size(folder)
                _clear(folder)
                path.unlink()
            finally:
                os.close(lock)
        return freed

    async def _ensure_one(
        self, maker: Maker, component: str, root: Path, bins: tuple[Path, ...], tell: ProgressCallback
    ) -> tuple[Layout, str]:
        key = hashlib.sha256(f"{maker.kind} {_FORMAT}\0".encode() + maker.identity()).hexdigest()[:24]
        target = root / maker.kind / key
        if _finished(maker, target):
            tell(Progress(component, maker.kind, "done", cached=True))
            return maker.layout(target), key
        prepare_root(root)
        open_folder(target.parent)

        def waiting() -> None:
            tell(Progress(component, maker.kind, "wait"))

        async with claim(_lock_path(root, maker.kind, key), waiting) as lock:
            # Somebody else may have made it while this one waited.
            cached = _finished(maker, target)
            if not cached:
                async with self._slot(maker):
                    work = Work(component, root, self.offline, lock, bins, tell, maker.kind)
                    await _make(maker, target, work)
        tell(Progress(component, maker.kind, "done", cached=cached))
        return maker.layout(target), key

    def _root_for(self, component: str, reader: int | None) -> Path:
        if reader is None or os.geteuid() != 0 or readable_by(self.root, reader):
            return self.root
        if readable_by(self._shared_root, reader):
            return self._shared_root
        raise InstallError(
            f"{component}: runs as user {reader}, who can enter neither {self.root} nor {self._shared_root}",
            hint="set MILLPOND_CACHE_DIR to a folder that everyone can read",
        )

    def _slot(self, maker: Maker) -> AbstractAsyncContextManager[None]:
        if maker.kind == "pip":
            # uv takes its turns by itself, across processes; waiting for one is no reason to hold up others.
            return nullcontext()
        # One per loop: a store may outlive asyncio.run, a semaphore may not.
        return self._slots.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(self._limit))

    def _folders(self) -> Iterator[tuple[Path, str, str]]:
        for kind in _ORDER:
            with suppress(FileNotFoundError, NotADirectoryError):
                for folder in sorted((self.root / kind).iterdir()):
                    if folder.is_dir():
                        yield folder, kind, folder.name


def _maker(request: InstallRequest, kind: str, root: Path) -> Maker:
    if kind == "millpond":
        return OverlayMaker(root)
    lock = request.folder / str(request.kinds[kind])
    if kind == "pip":
        return PipMaker(request.component, lock)
    if kind == "maven":
        return MavenMaker(request.component, lock)
    if kind == "npm":
        return NpmMaker(request.component, lock)
    return DebMaker(request.component, lock)


async def _make(maker: Maker, target: Path, work: Work) -> None:
    _clear(target)
    try:
        open_folder(target)
        await maker.make(target, work)
        marker = {"component": work.component, "prefix": str(target), "created": time.time()}
        fresh = target / f"{_MARKER}.new"
        open_file(fresh, json.dumps(marker).encode())
        fresh.rename(target / _MARKER)
    except BaseException:
        _clear(target)
        raise


def _finished(maker: Maker, target: Path) -> bool:
    try:
        marker = json.loads((target / _MARKER).read_bytes())
    except (OSError, ValueError):
        return False
    # A store that was moved or copied has venvs that point to where they were.
    if marker.get("prefix") != str(target) or not maker.intact(target):
        return False
    with suppress(OSError):
        os.utime(target / _MARKER)
    return True


def _read(folder: Path, kind: str, key: str) -> Installed | None:
    try:
        marker = json.loads((folder / _MARKER).read_bytes())
        used = (folder / _MARKER).stat().st_mtime
    except (OSError, ValueError):
        return None
    return Installed(
        kind,
        key,
        str(marker.get("component", "")),
        folder,
        _size(folder),
        float(marker.get("created", used)),
        used,
    )


def _size(folder: Path) -> int:
    seen: set[int] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = Path(place, name).lstat()
                if found.st_ino not in seen:
                    seen.add(found.st_ino)
                    total += found.st_blocks * 512
    return total


def _clear(folder: Path) -> None:
    """Removes an install, its marker first so that it never looks finished while it is being taken apart."""
    with suppress(FileNotFoundError):
        (folder / _MARKER).unlink()
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _lock_path(root: Path, kind: str, key: str) -> Path:
    return root / "locks" / f"{kind}-{key}.lock"
