"""What the commands ask of a target, whichever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from millpond.model.errors import MillpondError, did_you_mean
from millpond.model.events import ComponentEvent
from millpond.model.plan import Plan
from millpond.model.platform import USER, Platform

Listener = Callable[[ComponentEvent], None]


class Running(Protocol):
    """A process or a pod."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> str:
        """Its state, in the words of `ComponentStatus`."""

    def to_json(self) -> dict[str, Any]:
        """As ``--json`` prints it."""


@dataclass(frozen=True)
class ComponentStatus:
    """One component as it is now.

    Args:
        name: the node's name.
        component: the catalogue's entry.
        state: the worst state of its processes or pods, or ``stopped``.
        since: seconds since the epoch at which it entered that state; None when it never ran.
        url: what a browser opens, if anything.
        endpoints: its ports by name.
        message: why it is not ready, if it is not.
        processes: its processes, also those that it started itself; on a cluster its pods.
    """

    name: str
    component: str
    state: str
    since: float | None
    url: str | None
    endpoints: dict[str, str]
    message: str
    processes: Sequence[Running]


class Target(Protocol):
    """A platform in the place where it runs."""

    platform: Platform

    def plan(self) -> Plan:
        """What `apply` would change; changes nothing."""

    async def apply(self, listener: Listener, *, offline: bool = False, only: Iterable[str] = ()) -> Plan:
        """Bring the platform to its wished state."""

    async def restart(self, name: str) -> None:
        """Restart one component, and wait until it is ready."""

    async def wait(self, names: Iterable[str], timeout: float) -> None:
        """Wait until components are ready; all when none is named."""

    def status(self) -> list[ComponentStatus]:
        """Every component as it is now."""

    def url(self, name: str) -> str | None:
        """What a browser opens for a component."""

    def credentials(self, name: str) -> tuple[str, str]:
        """The user name and password of a component."""

    def environment(self) -> dict[str, str]:
        """What user code finds in its environment, secrets included."""

    def why(self, name: str) -> Iterator[str]:
        """Why a component is part of the platform, in sentences."""


def require(platform: Platform, name: str) -> None:
    """Make sure that a platform has a component.

    Raises:
        MillpondError: it has none of that name.
    """
    if name not in platform.nodes:
        raise MillpondError(
            f"no component of this platform is called {name}", hint=did_you_mean(name, platform.nodes)
        )


def reasons(platform: Platform, name: str) -> Iterator[str]:
    """Why a component is part of a platform, and who is wired to it, in sentences.

    Raises:
        MillpondError: there is no such component.
    """
    require(platform, name)
    node = platform.nodes[name]
    yield f"{name} is here because {node.because}"
    for binding in node.bindings.values():
        who = binding.provider or f"your own {binding.interface}"
        yield f"{name} gets {binding.interface} ({binding.requirement}) from {who}"
    for asker, binding in platform.askers(name):
        if asker == USER:
            yield f"your own code gets {binding.interface} from {name}"
        else:
            yield f"{asker} gets {binding.interface} ({binding.requirement}) from {name}"


def without_credentials(platform: Platform, name: str) -> MillpondError:
    """The error for a component that nobody signs in to."""
    having = [other for other, node in platform.nodes.items() if node.component.service.credentials]
    return MillpondError(
        f"{name} has no credentials", hint=f"these have: {', '.join(having)}" if having else None
    )
