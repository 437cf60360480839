"""The demos that ship: in the package ``millpond/demos``, or in a checkout's ``examples``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import millpond
from millpond.model.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Demo:
    """A demo: a folder with a pipeline."""

    name: str
    folder: Path


def folders() -> list[Path]:
    """Where demos are looked for, the package's own first."""
    package = Path(millpond.__file__).resolve().parent
    found = [package / "demos"]
    if package.parent.name == "src":
        found.append(package.parent.parent / "examples")
    return found


def all_demos() -> dict[str, Demo]:
    """Every demo by name."""
    found: dict[str, Demo] = {}
    for base in folders():
        if base.is_dir():
            for folder in sorted(base.iterdir()):
                if (folder / "pipeline.yaml").is_file():
                    found.setdefault(folder.name, Demo(folder.name, folder))
    return found


def demo(name: str) -> Demo:
    """The demo of that name.

    Raises:
        UsageError: there is none.
    """
    known = all_demos()
    if name not in known:
        raise UsageError(f"there is no demo {name}", hint=did_you_mean(name, known) or "this copy has none")
    return known[name]
