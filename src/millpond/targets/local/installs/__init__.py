"""Installs of components for the local target: made once per content, shared, and offline once cached."""

from millpond.targets.local.installs.places import default_root, readable_by
from millpond.targets.local.installs.request import (
    Install,
    Installed,
    InstallError,
    InstallRequest,
    Progress,
    ProgressCallback,
)
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
