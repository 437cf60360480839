"""What a request of ``run.sh`` means: a list of actions, which the command line carries out in order.

On this machine all of them are done by native processes. What needs a cluster becomes `NeedsCluster`, an
outcome with a sentence that says what to do instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from millpond.flavours.datamill.flags import USAGE, Debug, Request
from millpond.flavours.datamill.settings import Location

NO_CLUSTER = "means a cluster, which run.sh does not bring a platform up on"
ON_CLUSTER = "`millpond up -f FLAVOUR --target kubernetes` does, and on this machine -l"


@dataclass(frozen=True)
class Source:
    """The flavour that an action is about, as the flags name it.

    Args:
        flavour: a path or a bare name, for `millpond.flavours.datamill.find_flavour`.
        target_file: what ``-t`` names.
        location: where.
        component: what ``-c`` names; it joins the flavour where it is not in it.
    """

    flavour: str
    target_file: str | None = None
    location: Location = "local"
    component: str | None = None


@dataclass(frozen=True)
class ShowUsage:
    """Print the usage."""

    text: str = USAGE


@dataclass(frozen=True)
class Up:
    """Bring the platform up.

    With a component in the source, only that one and what it waits for are touched; what runs beside them
    stays as it is.

    Args:
        source: the flavour.
        install: whether what is missing may be downloaded.
    """

    source: Source
    install: bool


@dataclass(frozen=True)
class Down:
    """Stop the platform; data, installs and state are kept."""

    source: Source


@dataclass(frozen=True)
class Remove:
    """Stop components, last ones first, and forget them; their data is kept.

    With a component in the source, only that one.
    """

    source: Source


@dataclass(frozen=True)
class Destroy:
    """Stop everything and delete its data, after a question that lists what will be deleted."""

    source: Source


@dataclass(frozen=True)
class Shell:
    """Open a shell with the environment of the platform, or with that of one component.

    Args:
        source: the flavour.
        kind: what Data-Mill would have started: a pod with network tools, or one for applications.
    """

    source: Source
    kind: Debug | None = None


@dataclass(frozen=True)
class NeedsCluster:
    """Cannot be done without a cluster.

    Args:
        flag: the flag that asks for it.
        reason: why, in one sentence.
        instead: what to do on this machine, in one sentence.
    """

    flag: Literal["-r", "-h", "-p"]
    reason: str
    instead: str

    def __str__(self) -> str:
        return f"{self.flag} {self.reason}; {self.instead}"


Action = ShowUsage | Up | Down | Remove | Destroy | Shell | NeedsCluster


def plan(request: Request) -> list[Action]:
    """The actions of a request, in their order. A flag that needs a cluster everywhere stops all others."""
    if request.help:
        return [ShowUsage()]
    if request.location == "remote":
        return [NeedsCluster("-r", NO_CLUSTER, ON_CLUSTER)]
    if request.location == "hybrid":
        return [NeedsCluster("-h", NO_CLUSTER, ON_CLUSTER)]
    source = Source(request.flavour, request.target_file, "local", request.component)
    actions: list[Action] = []
    if request.actions & {"i", "s"}:
        actions.append(Up(source, install="i" in request.actions))
    if "x" in request.actions:
        # Destroying stops and removes everything first, so -u and -a ask for nothing more.
        actions.append(Destroy(source))
    else:
        if "u" in request.actions:
            actions.append(Remove(source))
        if "a" in request.actions:
            actions.append(Down(source))
    if "p" in request.actions:
        instead = "use `millpond status` and `millpond open NAME`"
        reason = "shows a cluster's dashboard, and the platform is on this machine"
        actions.append(NeedsCluster("-p", reason, instead))
    if "d" in request.actions:
        # Last, because the shell stays open.
        actions.append(Shell(source, request.debug))
    return actions
