"""What each way to have a cluster on this machine offers, and what is known of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from millpond.model.errors import UsageError
from millpond.targets.kubernetes.clusters.machine import Machine, Step, Tool
from millpond.targets.kubernetes.clusters.wishes import NAME, Wishes


class State(StrEnum):
    """How a cluster is."""

    RUNNING = "running"
    STOPPED = "stopped"
    BROKEN = "broken"


@dataclass(frozen=True)
class Found:
    """A cluster that a tool knows.

    Args:
        provider: the provider's name.
        name: the cluster's.
        state: how it is.
        context: its name in the kubeconfig.
        version: Kubernetes's version, where the tool tells it.
        nodes: how many nodes, where the tool tells it.
        message: what is wrong with it.
    """

    provider: str
    name: str
    state: State
    context: str
    version: str = ""
    nodes: int | None = None
    message: str = ""

    def as_dict(self) -> dict[str, object]:
        """The cluster as ``--json`` prints it."""
        return {
            "provider": self.provider,
            "name": self.name,
            "state": self.state.value,
            "context": self.context,
            "version": self.version,
            "nodes": self.nodes,
            "message": self.message,
        }


class Provider(Protocol):
    """A way to have a cluster on this machine.

    Methods that change something return the steps; whoever called shows or runs them.
    """

    name: str
    tool: Tool

    def clusters(self, machine: Machine) -> list[Found]:
        """The clusters that it has.

        Raises:
            MillpondError: its tool does not answer.
        """

    def cluster_name(self, name: str) -> str:
        """What a cluster of that name is called here; providers with one cluster have one name.

        Raises:
            UsageError: it cannot have that name.
        """

    def context(self, name: str) -> str:
        """The cluster's context in the kubeconfig."""

    def create(self, wishes: Wishes, machine: Machine) -> list[Step]:
        """The steps that make a cluster.

        Raises:
            MillpondError: a wish cannot be had from it.
        """

    def notes(self, wishes: Wishes, machine: Machine) -> list[str]:
        """What a user should know of a cluster with these wishes: what has no effect, what is not in it."""

    def start(self, name: str, machine: Machine) -> list[Step]:
        """The steps that start a stopped cluster."""

    def stop(self, name: str, machine: Machine) -> list[Step]:
        """The steps that stop it; what is in it stays."""

    def delete(self, name: str, machine: Machine) -> list[Step]:
        """The steps that delete it with all that is in it."""

    def load(self, name: str, archives: Sequence[Path], machine: Machine) -> list[Step]:
        """The steps that bring images from archives (``docker save``) to its nodes."""

    def kubeconfig(self, name: str, machine: Machine) -> Step | None:
        """The command that prints its kubeconfig; None where the tool writes that itself."""


def only(provider: str, name: str) -> str:
    """The name of the one cluster that a provider can have on this machine.

    Raises:
        UsageError: another name is wanted.
    """
    if name not in (NAME, provider):
        raise UsageError(
            f"{provider} has one cluster on a machine, so that none can be called {name}",
            hint="leave --name out, or take the provider minikube or kind",
        )
    return provider


def sized_elsewhere(wishes: Wishes, provider: str, where: str) -> list[str]:
    """The note that cores and memory are not this provider's to choose, where the user named some."""
    given = [f"--{word}" for word in ("cpus", "memory", "disk") if word in wishes.given]
    return [f"{provider} takes what {where} has: {', '.join(given)} has no effect"] if given else []
