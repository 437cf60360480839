"""Commands that need more packages than the command line has: they go on in an environment that has them.

The process is replaced, by the same command in the environment's Python. What comes before is quick and
happens once: the environment is installed, and this folder's platform says where its services are. So the
command itself finds everything in its environment, as any other program of the user does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from millpond.cli.session import Session

INSIDE = "MILLPOND_INSIDE"


def go_inside(session: Session, name: str, *, interfaces: Collection[str] = ("s3",)) -> None:
    """Go on in the environment `name` of the catalogue; returns when this process runs in it.

    Call it first in a command: everything before it happens twice. Heavy imports come after it.

    Args:
        interfaces: those that the command uses; where this folder has a platform on this machine, their
            providers have to be ready. Without a platform the user's own environment says where things are.

    Raises:
        MillpondError: the environment cannot be installed, or the platform is not ready.
    """
    if os.environ.pop(INSIDE, None) == name:
        return
    from millpond.cli.environments import installed, shipped

    found = _platform(session, interfaces)
    install = asyncio.run(installed(shipped(name)))
    mine = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    path = os.pathsep.join([*(str(folder) for folder in install.bin), mine.get("PATH", os.defpath)])
    environment = {**mine, **found, **install.env, "PATH": path, INSIDE: name, "DO_NOT_TRACK": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    python = str(install.bin[0] / "python")
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(python, [python, "-m", "millpond", *session.arguments], environment)


def _platform(session: Session, interfaces: Collection[str]) -> dict[str, str]:
    """What this folder's platform tells user code; nothing where there is no platform."""
    from millpond.cli.running import require_ready
    from millpond.flavours.loader import NoFlavourError
    from millpond.targets.local.target import LocalTarget

    try:
        target = session.target()
    except NoFlavourError:
        return {}
    if isinstance(target, LocalTarget):
        require_ready(target, interfaces)
    return target.environment()
