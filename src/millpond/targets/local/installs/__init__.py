"""Installs of components for the local target: made once per content, shared, and offline once cached.

The store itself is imported when it is asked for: a command that finds nothing to install, which is most of
them, does not wait for what only installing needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from millpond.targets.local.installs.places import default_root, readable_by
from millpond.targets.local.installs.request import (
    Install,
    Installed,
    InstallError,
    InstallRequest,
    Progress,
    ProgressCallback,
)

if TYPE_CHECKING:
    from millpond.targets.local.installs.store import InstallStore

__all__ = [
    "Install",
    "InstallError",
    "InstallRequest",
    "InstallStore",
    "Installed",
    "Progress",
    "ProgressCallback",
    "default_root",
    "readable_by",
]


def __getattr__(name: str) -> Any:
    if name == "InstallStore":
        from millpond.targets.local.installs.store import InstallStore

        return InstallStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
