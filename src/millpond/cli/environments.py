"""The environments of the catalogue that a command needs, installed before somebody's eyes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.targets.local.installs import Install
    from millpond.targets.local.installs import Progress as InstallProgress


def shipped(name: str) -> Path:
    """The lock of an environment of the catalogue, such as ``science`` or ``lake``."""
    from millpond import catalogue

    return Path(catalogue.__file__).parent / "environments" / name / "requirements.lock"


async def installed(lock: Path, *, offline: bool = False, as_json: bool = False) -> Install:
    """The environment of a lock, with millpond on its path; shows how it is made where it has to be.

    Raises:
        InstallError: it cannot be made; says what is missing and what to do.
    """
    from millpond.cli.views import view_for
    from millpond.model.events import ComponentEvent, Phase, Progress
    from millpond.targets.local.installs import InstallRequest, InstallStore

    request = InstallRequest("environment", lock.parent, {"pip": lock.name, "millpond": True})
    with view_for(["environment"], as_json=as_json) as view:
        shown = False

        def tell(progress: InstallProgress) -> None:
            nonlocal shown
            if progress.cached:
                return
            shown = True
            counted = None
            if progress.done is not None and progress.unit is not None:
                counted = Progress(progress.kind, progress.done, progress.total, progress.unit)
            view(
                ComponentEvent("environment", Phase.INSTALLING, time.time(), progress.phase, progress=counted)
            )

        install = await InstallStore(offline=offline).ensure(request, tell)
        if shown:
            view(ComponentEvent("environment", Phase.READY, time.time()))
    return install
