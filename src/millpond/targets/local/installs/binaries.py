"""The kind ``path``: programs that the user has to have; nothing is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from millpond.targets.local.installs.request import InstallError, Layout


def find_binaries(component: str, names: Iterable[str]) -> Layout:
    """Where the programs are, each by its name on PATH or by its absolute path.

    Raises:
        InstallError: some are missing; all of them are named.
    """
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name in names:
        program = shutil.which(str(Path(name).expanduser()))
        if program is None:
            missing.append(name)
        else:
            found[Path(name).name] = Path(program).absolute()
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise InstallError(
            f"{component}: {', '.join(missing)} {verb} not on this machine",
            hint="install what is missing, or put its folder on PATH",
        )
    folders = tuple(dict.fromkeys(Path(name).expanduser().parent for name in names if "/" in name))
    return Layout(found, folders)
