"""What the engine wants of whoever installs charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from millpond.targets.kubernetes.bundle import Release


class Releases(Protocol):
    """Installs charts; `millpond.targets.kubernetes.charts` does it by Helm."""

    async def apply(self, release: Release, tell: Callable[[str], None]) -> None:
        """Install or upgrade a release, and wait until it is ready."""

    async def differs(self, release: Release) -> str | None:
        """Why a release is to be installed or upgraded; None when it is as wished."""

    async def uninstall(self, name: str, namespace: str) -> None:
        """Uninstall a release."""

    async def installed(self, platform: str) -> list[tuple[str, str, str]]:
        """The platform's releases: unit, name, namespace."""

    async def rollback(self, name: str, namespace: str, revision: int) -> None:
        """Go back to a revision of Helm's."""
