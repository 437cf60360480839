"""What the controller wrote about a deployment for the monitor: ``monitor.json`` and ``control.json``.

Both are read again each time they are asked for; what is missing or cannot be
read has its default, so that a log without a controller is collected too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTINGS = "monitor.json"
CONTROL = "control.json"


@dataclass(frozen=True)
class Experiment:
    """Arms that are compared, the first of them the one to beat; `since` in Unix seconds."""

    name: str
    arms: tuple[str, ...]
    since: float | None = None


@dataclass(frozen=True)
class Settings:
    """A deployment as the monitor knows it.

    `mirror_percent` is the share of requests that the shadow gets; below 100 nobody can tell which
    ones it missed. `sample` is the share of predictions that the log keeps.
    """

    deployment: str
    namespace: str = "default"
    url: str | None = None
    mode: str = "off"
    sample: float = 1.0
    primary: str | None = None
    canary: str | None = None
    shadow: str | None = None
    shadow_since: float | None = None
    mirror_percent: float = 100.0
    experiment: Experiment | None = None
    reference: dict[str, Any] | None = field(default=None)

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """The settings in a deployment's folder."""
        found = _document(folder / SETTINGS)
        control = _document(folder / CONTROL)
        reference = found.get("reference")
        return cls(
            deployment=folder.name,
            namespace=_text(found.get("namespace")) or "default",
            url=_text(found.get("url")),
            mode=_text(control.get("mode")) or _text(found.get("mode")) or "off",
            sample=_number(control.get("sample"), 1.0),
            primary=_text(found.get("primary")),
            canary=_text(found.get("canary")),
            shadow=_text(found.get("shadow")),
            shadow_since=_number(found.get("shadow_since"), None),
            mirror_percent=_number(found.get("mirror_percent"), 100.0),
            experiment=_experiment(found.get("experiment")),
            reference=reference if isinstance(reference, dict) else None,
        )


def _experiment(found: Any) -> Experiment | None:
    if not isinstance(found, dict) or not isinstance(found.get("arms"), list):
        return None
    arms = tuple(str(arm) for arm in found["arms"])
    return Experiment(_text(found.get("name")) or "experiment", arms, _number(found.get("since"), None))


def _document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: Any, default: Any) -> Any:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
