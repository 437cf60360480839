"""Why a component is part of a platform; the same on every target."""

from __future__ import annotations

from collections.abc import Iterator

from millpond.model.errors import MillpondError, did_you_mean
from millpond.model.platform import USER, Platform


def require(platform: Platform, name: str) -> None:
    """Make sure that a component is one of the platform's.

    Raises:
        MillpondError: it is not.
    """
    if name not in platform.nodes:
        raise MillpondError(
            f"no component of this platform is called {name}", hint=did_you_mean(name, platform.nodes)
        )


def why(platform: Platform, name: str) -> Iterator[str]:
    """Why a component is part of the platform, and who is wired to it, in sentences."""
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
