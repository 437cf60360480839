"""What a kind of install has to be able to do, and what it is given to do it with."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from millpond.targets.local.installs.process import Finished, run
from millpond.targets.local.installs.request import InstallError, Kind, Layout, Progress


@dataclass(frozen=True)
class Work:
    """The circumstances of one making of one install.

    Attributes:
        root: of the store; caches of the installers are kept in it.
        lock: descriptor of the lock on the install, for children to inherit.
        bin: folders that the component's earlier kinds contribute to PATH.
        tell: reports progress; component and kind are filled in.
    """

    component: str
    root: Path
    offline: bool
    lock: int
    bin: tuple[Path, ...]
    tell: Callable[[Progress], None]
    kind: Kind

    def report(
        self,
        phase: str,
        done: int | None = None,
        total: int | None = None,
        unit: str | None = None,
        detail: str = "",
    ) -> None:
        """Says how far the install is; arguments as in :class:`Progress`."""
        self.tell(Progress(self.component, self.kind, phase, done, total, unit, detail=detail))  # type: ignore[arg-type]

    async def run(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        said: Callable[[str], None] = lambda line: None,
        stdin: bytes | None = None,
        cwd: Path | None = None,
    ) -> Finished:
        """Runs an installer under the lock of this install."""
        try:
            return await run(
                argv,
                env=env or clean_environment(),
                cwd=cwd or self.root,
                lock=self.lock,
                said=said,
                stdin=stdin,
            )
        except FileNotFoundError as error:
            raise InstallError(
                f"{self.component}: {argv[0]} was not found", hint="install it and try again"
            ) from error


class Maker(Protocol):
    """One kind of install of one component: reads its lock when it is made."""

    kind: Kind

    def identity(self) -> bytes:
        """Everything that decides the content; hashed into the install's key."""

    def layout(self, target: Path) -> Layout:
        """What the install contributes once it is made."""

    def intact(self, target: Path) -> bool:
        """Whether what the finished install leans on outside of the store is still there; cheap."""

    async def make(self, target: Path, work: Work) -> None:
        """Makes the install in the folder ``target``, which exists and is empty.

        Raises:
            InstallError: it cannot be made; the store clears ``target``.
        """


def read_lock(component: str, path: Path) -> bytes:
    """The bytes of a lock file.

    Raises:
        InstallError: there is no such file.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InstallError(
            f"{component}: cannot read the lock {path}: {error.strerror}", hint="make it with tools/lock.py"
        ) from error


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's environment without what would bend another Python or hide progress, with C messages."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name not in {"VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH"}
    }
    return {**kept, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **(extra or {})}
