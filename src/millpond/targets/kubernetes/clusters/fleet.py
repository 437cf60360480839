"""All clusters of this machine, over every provider whose tool is installed; and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from millpond.model.errors import MillpondError, did_you_mean
from millpond.targets.kubernetes.clusters.k3s import K3s
from millpond.targets.kubernetes.clusters.kind import Kind
from millpond.targets.kubernetes.clusters.machine import Machine
from millpond.targets.kubernetes.clusters.microk8s import MicroK8s, Multipass
from millpond.targets.kubernetes.clusters.minikube import Minikube
from millpond.targets.kubernetes.clusters.provider import Found, Provider
from millpond.targets.kubernetes.clusters.wishes import NAME

# In the order in which one is taken where none is named: first those that need no root.
PROVIDERS: tuple[Provider, ...] = (Minikube(), Kind(), MicroK8s(), Multipass(), K3s())
NAMES = ("minikube", "microk8s", "kind", "k3s")


@dataclass(frozen=True)
class Overview:
    """What there is.

    Args:
        clusters: every cluster.
        silent: providers that did not answer, with the error.
        missing: providers whose tool is not installed.
    """

    clusters: Sequence[Found]
    silent: Sequence[tuple[Provider, MillpondError]]
    missing: Sequence[Provider]


def provider(name: str, *, multipass: bool = False) -> Provider:
    """The provider of a name; `multipass` means the one that puts MicroK8s into a virtual machine."""
    wanted = Multipass.name if multipass else name
    return next(found for found in PROVIDERS if found.name == wanted)


def overview(machine: Machine, among: Sequence[Provider] = PROVIDERS) -> Overview:
    """Ask every provider that is installed; one that does not answer hides no other."""
    clusters: list[Found] = []
    silent: list[tuple[Provider, MillpondError]] = []
    missing: list[Provider] = []
    for one in among:
        if machine.find(one.tool.program) is None:
            missing.append(one)
            continue
        try:
            clusters += one.clusters(machine)
        except MillpondError as error:
            silent.append((one, error))
    return Overview(clusters, silent, missing)


def choose(machine: Machine) -> Provider:
    """The provider for a new cluster, where the user named none: the first that is installed.

    Multipass is never taken by itself, as it is no sign that one wants MicroK8s.

    Raises:
        MillpondError: none is installed; the details say how each is.
    """
    for one in PROVIDERS:
        if one.name != Multipass.name and machine.find(one.tool.program) is not None:
            return one
    raise MillpondError(
        "no tool for clusters is on PATH: neither minikube, kind, microk8s nor k3s",
        hint="install one of them; minikube and kind run without root",
        details=[
            f"{one.tool.program}: {one.tool.install(machine.system)}"
            for one in PROVIDERS
            if one.name != Multipass.name
        ],
    )


def find(machine: Machine, name: str | None, among: Sequence[Provider] = PROVIDERS) -> tuple[Provider, Found]:
    """The cluster that is meant.

    Args:
        machine: where to look.
        name: its name; without one, the only cluster there is, else the one with our name.
        among: where it can be.

    Raises:
        MillpondError: there is none, or it is not clear which one.
    """
    for one in among if len(among) == 1 else ():
        machine.need(one.tool, f"the provider {one.name}")
    there = overview(machine, among)
    matching = [found for found in there.clusters if name is None or found.name == name]
    if name is None and len(matching) > 1:
        matching = [found for found in matching if found.name == NAME] or matching
    if len(matching) == 1:
        return next(one for one in among if one.name == matching[0].provider), matching[0]
    if matching:
        known = ", ".join(f"{found.name} ({found.provider})" for found in matching)
        raise MillpondError(
            f"several clusters can be meant: {known}", hint="say which one with --provider and --name"
        )
    for _, error in there.silent:
        raise error
    called = f" called {name}" if name else ""
    names = [found.name for found in there.clusters]
    close = did_you_mean(name, names) if name and names else None
    raise MillpondError(
        f"there is no cluster{called} on this machine", hint=close or "`millpond cluster create` makes one"
    )
