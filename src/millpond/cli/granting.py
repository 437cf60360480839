"""The flavour's ``lake``: users, groups and rights, brought about once the store is up."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from millpond.cli.giving import in_lake, reached
from millpond.cli.style import note

if TYPE_CHECKING:
    from millpond.flavours.loader import Source
    from millpond.targets.target import Target


def changed(source: Source) -> bool:
    """Whether the flavour says other rules than those that were last brought about."""
    return _wish(source) != _before(source)


def _wish(source: Source) -> dict[str, Any]:
    return {key: value for key, value in source.flavour.lake.model_dump().items() if value}


def _before(source: Source) -> dict[str, Any]:
    try:
        found = json.loads((source.project / ".millpond" / "access.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def grant(
    source: Source, target: Target, *, offline: bool = False, only: Iterable[str] = (), as_json: bool = False
) -> None:
    """Bring users, groups and rights to what the flavour says, and put right what was changed by hand.

    Raises:
        MillpondError: a name is not free, or the store has no IAM.
    """
    new = changed(source)
    # A store on a cluster is often not reached from here; what was applied there is looked at when asked for.
    if not new and (not _wish(source) or source.flavour.target == "kubernetes"):
        return
    environment = reached(source, target, only, "the lake's rules were not brought about")
    if environment is None:
        return
    from millpond.model.errors import MillpondError

    asked = {"wish": _wish(source), "before": _before(source)}
    doing = "bringing the lake's rules about" if new else "looking at the lake's rules"
    found = in_lake("millpond.lake.access.wish", asked, environment, offline, doing)
    if "message" in found:
        raise MillpondError(f"lake: {found['message']}", hint=found.get("hint"))
    (source.project / ".millpond" / "access.json").write_text(json.dumps(_wish(source), indent=1) + "\n")
    if as_json:
        from millpond.cli.style import out

        out(json.dumps({"lake": found["changed"]}))
        return
    if not new and not found["changed"]:
        return
    note()
    for line in found["changed"]:
        note(f"lake: {line}")
    note("`millpond lake matrix` shows who may do what, `millpond lake user key NAME` makes a key")
