"""What is asked of the store of installs, what it gives back, and what it tells on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from millpond.model.errors import MillpondError

Kind = Literal["path", "pip", "deb", "maven", "npm", "millpond"]

Phase = Literal["wait", "resolve", "download", "unpack", "compile", "done"]


class InstallError(MillpondError):
    """A component could not be installed; nothing of the attempt is left in the store."""


@dataclass(frozen=True)
class InstallRequest:
    """What one component needs to be there before it can start.

    Args:
        component: its name, for messages.
        folder: the component's folder in the catalogue; lock files are named relative to it.
        kinds: ``service.install`` of its ``component.yaml``: the lock's file name for ``pip``,
            ``maven``, ``npm`` and ``deb``, a list of binaries for ``path``, true for ``millpond``.
    """

    component: str
    folder: Path
    kinds: Mapping[str, Any]


@dataclass(frozen=True)
class Install:
    """Where the parts of a component are.

    Attributes:
        paths: by kind the folder it was installed in; ``site`` is the venv's site-packages, and
            every binary of the kind ``path`` stands here under its own name.
        bin: folders for the front of PATH, in order.
        env: variables that a process of this component needs to find its parts.
        key: hash of everything that decided the content; two components with equal keys share it.
    """

    paths: Mapping[str, Path]
    bin: tuple[Path, ...]
    env: Mapping[str, str]
    key: str


@dataclass(frozen=True)
class Progress:
    """One thing that happened while a component was installed.

    ``done`` and ``total`` are counted, never estimated: what is not known is None. While downloads are
    announced one by one, ``total`` is what was announced so far and may grow.

    Attributes:
        phase: ``wait`` means that another process is making the same install.
        unit: of ``done`` and ``total``.
        cached: everything was there already; said with the phase ``done``.
        detail: the package at hand.
    """

    component: str
    kind: str
    phase: Phase
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "packages", "files"] | None = None
    cached: bool = False
    detail: str = ""


@dataclass(frozen=True)
class Installed:
    """One entry of the store: what ``doctor`` lists. Size in bytes on disk, times in seconds since 1970."""

    kind: str
    key: str
    component: str
    path: Path
    size: int
    created: float
    last_used: float


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class Layout:
    """What one kind contributes to an :class:`Install`."""

    paths: Mapping[str, Path] = field(default_factory=dict)
    bin: tuple[Path, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
