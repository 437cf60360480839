"""What is wanted of a cluster on this machine, with defaults that are enough for a flavour."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass

from millpond.model.errors import UsageError
from millpond.model.platform import Platform

NAME = "millpond"
# What Kubernetes itself and its addons take on one node.
_OWN_CPUS, _OWN_MEMORY, _OWN_DISK = 1.0, 2048, 20
_FACTORS = {"": 1.0, "k": 1 / 1024, "m": 1.0, "g": 1024.0, "t": 1024.0 * 1024}


@dataclass(frozen=True)
class Wishes:
    """A cluster as its user wants it.

    Args:
        name: the cluster's name.
        cpus: cores for the cluster.
        memory: MiB for the cluster.
        disk: GiB for the cluster.
        gpu: whether pods may use this machine's GPUs.
        version: Kubernetes's version, such as 1.34.2; the tool's own default when empty.
        nodes: how many nodes.
        driver: what the tool makes machines with (minikube's ``--driver``); its own choice when empty.
        istio: whether Istio comes with it.
        given: which of cpus, memory, disk the user named, and did not leave to us.
    """

    name: str = NAME
    cpus: int = 4
    memory: int = 8192
    disk: int = 40
    gpu: bool = False
    version: str = ""
    nodes: int = 1
    driver: str = ""
    istio: bool = False
    given: frozenset[str] = frozenset()

    @property
    def minor(self) -> str:
        """The version without its patch: 1.34."""
        return ".".join(self.version.lstrip("v").split(".")[:2])


@dataclass(frozen=True)
class Size:
    """How big a cluster is: cores, MiB of memory, GiB of disk."""

    cpus: int
    memory: int
    disk: int


def size_for(platform: Platform) -> Size:
    """What a platform's components need together, and Kubernetes beside them, rounded up."""
    nodes = list(platform.nodes.values())
    cpus = sum(node.resources.cpu for node in nodes) + _OWN_CPUS
    memory = sum(node.resources.memory_bytes for node in nodes) / (1 << 20) + _OWN_MEMORY
    volumes = [volume.size for node in nodes for volume in node.component.service.volumes.values()]
    disk = sum(mebibytes(size, "a volume's size") for size in volumes) / 1024 + _OWN_DISK
    return Size(max(2, math.ceil(cpus)), math.ceil(memory / 1024) * 1024, math.ceil(disk))


def cores() -> int:
    """The cores of this machine that we may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mebibytes(text: str, what: str) -> int:
    """A size in MiB: ``8192``, ``8g``, ``8GB`` and ``8Gi`` all mean the same, as tools differ in words only.

    Args:
        text: the size; a bare number counts MiB.
        what: whose it is, for the message.

    Raises:
        UsageError: it is no size, or less than 1 MiB.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text, re.IGNORECASE)
    found = math.ceil(float(match[1]) * _FACTORS[match[2].lower()]) if match else 0
    if found < 1:
        raise UsageError(f"{what} is {text!r}, which is no size", hint="write it as 8Gi, 8g or 8192 (MiB)")
    return found


def gibibytes(text: str, what: str) -> int:
    """A size in GiB, rounded up; a bare number counts GiB, as disks do.

    Raises:
        UsageError: it is no size.
    """
    bare = re.fullmatch(r"\s*\d+(\.\d+)?\s*", text)
    return math.ceil(mebibytes(f"{text.strip()}g" if bare else text, what) / 1024)
