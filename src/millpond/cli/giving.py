"""The flavour's ``data``: what of it is to be loaded, and loading it once the store is up."""

from __future__ import annotations

import asyncio
import json
import subprocess
from typing import TYPE_CHECKING, Any

from millpond.cli.style import note, plural, warn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from millpond.flavours.loader import Source
    from millpond.lake.files.given import Given, Loaded
    from millpond.targets.target import Target

_SHOWN = 5


def waiting(source: Source) -> list[tuple[Given, str]]:
    """What `up` would load, each with why.

    Raises:
        MillpondError: a file or folder that the flavour names is not there.
    """
    if not source.flavour.data:
        return []
    from millpond.lake.files.given import Given

    folder = source.path.parent
    every = [Given((folder / item.source).resolve(), item.to) for item in source.flavour.data]
    return _loaded(source).waiting(every)


def _loaded(source: Source) -> Loaded:
    from millpond.lake.files.given import Loaded

    return Loaded(source.project / ".millpond" / "data.json")


def give(
    source: Source, target: Target, *, offline: bool = False, only: Iterable[str] = (), as_json: bool = False
) -> None:
    """Load what is new or changed into the lake of a platform that is up.

    Where the platform is on a cluster whose ports do not lead here, says so and loads nothing.

    Raises:
        MillpondError: there is no store, or some files could not be loaded.
    """
    found = waiting(source)
    environment = reached(source, target, only, "the flavour's data was not loaded") if found else None
    if environment is None:
        return
    from millpond.model.errors import MillpondError

    asked = [[str(given.source), given.target] for given, _ in found]
    outcome = in_lake(
        "millpond.lake.files.loading", asked, environment, offline, "loading data into the lake"
    )
    _tell(outcome, as_json)
    if outcome["failed"]:
        raise MillpondError(
            f"{plural(len(outcome['failed']), 'file')} of the flavour's data could not be loaded",
            hint="`millpond up` again goes on with them",
            details=[f"{key}: {why}" for key, why in list(outcome["failed"].items())[:_SHOWN]],
        )
    for given, _ in found:
        _loaded(source).note(given, given.look(), given.digest())


def reached(source: Source, target: Target, only: Iterable[str], otherwise: str) -> dict[str, str] | None:
    """What reaches the platform's store from here, or None where it is not to be reached.

    Args:
        only: the components that were brought up; all when empty.
        otherwise: what is told where the platform is on a cluster whose ports do not lead here.

    Raises:
        MillpondError: the platform has no store.
    """
    from millpond.model.errors import MillpondError

    providers = [name for name, _ in target.platform.providers("s3")]
    only = set(only)
    if only and not set(providers) & only:
        return None
    if not providers and not source.flavour.external:
        raise MillpondError(
            "the flavour has things for a lake, and no lake", hint="add seaweedfs to its components"
        )
    try:
        return target.environment()
    except MillpondError as error:
        if source.flavour.target != "kubernetes":
            raise
        # A cluster is up without its ports being led here; that is no failure of the platform.
        warn(f"{otherwise}: {error.message}")
        note(f"{error.hint}, then `millpond up` again" if error.hint else "`millpond up` again does it")
        return None


def in_lake(module: str, asked: Any, environment: dict[str, str], offline: bool, what: str) -> dict[str, Any]:
    """Run a module in the environment of the lake: JSON in, a JSON object out.

    Raises:
        MillpondError: it failed; its last lines are shown.
    """
    import os

    from millpond.cli.busy import busy
    from millpond.cli.environments import installed, shipped
    from millpond.model.errors import MillpondError

    install = asyncio.run(installed(shipped("lake"), offline=offline))
    mine = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    with busy(what):
        found = subprocess.run(
            [str(install.bin[0] / "python"), "-m", module],
            input=json.dumps(asked),
            env={**mine, **environment, **install.env},
            capture_output=True,
            text=True,
        )
    if found.returncode:
        last = found.stderr.strip().splitlines()[-8:]
        raise MillpondError(f"{what} failed", hint="`millpond status`", details=last)
    outcome: dict[str, Any] = json.loads(found.stdout)
    return outcome


def _tell(outcome: dict[str, Any], as_json: bool) -> None:
    if as_json:
        from millpond.cli.style import out

        out(json.dumps({"data": outcome}))
        return
    note()
    note(f"data: {plural(outcome['loaded'], 'file')} loaded into the lake, {outcome['same']} there already")
    kept = outcome["kept"]
    if kept:
        names = ", ".join(kept[:_SHOWN]) + (f" and {len(kept) - _SHOWN} more" if len(kept) > _SHOWN else "")
        stays = (
            "was changed there and stays as it is"
            if len(kept) == 1
            else "were changed there and stay as they are"
        )
        warn(f"{plural(len(kept), 'file')} of the lake {stays}: {names}")
        note("`millpond lake cp` replaces one by the flavour's")
