"""What every target does with a platform, so that the commands need not know where it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from millpond.model.events import ComponentEvent
from millpond.model.plan import Plan
from millpond.model.platform import Platform


class Process(Protocol):
    """One process or pod of a component."""

    def to_json(self) -> dict[str, Any]:
        """What ``status --json`` prints of it."""


class Status(Protocol):
    """One component as it is now; the attributes are those of `status --json`."""

    @property
    def name(self) -> str: ...
    @property
    def component(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def since(self) -> float | None: ...
    @property
    def url(self) -> str | None: ...
    @property
    def endpoints(self) -> Mapping[str, str]: ...
    @property
    def message(self) -> str: ...
    @property
    def processes(self) -> Sequence[Process]: ...


class Target(Protocol):
    """A platform where it runs."""

    platform: Platform

    def plan(self) -> Plan:
        """What `apply` would change; reads only."""

    async def apply(
        self,
        listener: Callable[[ComponentEvent], None],
        *,
        offline: bool = False,
        only: Iterable[str] = (),
    ) -> Plan:
        """Bring the platform to its wished state, and return the plan that was carried out."""

    async def restart(self, name: str) -> None:
        """Restart one component, and wait until it is ready."""

    async def wait(self, names: Iterable[str], timeout: float) -> None:
        """Wait until components are ready; all when none is named. The timeout is in seconds."""

    def status(self) -> Sequence[Status]:
        """Every component of the platform."""

    def url(self, name: str) -> str | None:
        """What a browser opens for a component, if anything."""

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component."""

    def environment(self) -> dict[str, str]:
        """What user code finds in its environment, secrets included."""

    def why(self, name: str) -> Iterator[str]:
        """Why a component is part of the platform, and who is wired to it, in sentences."""
