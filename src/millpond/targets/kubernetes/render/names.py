"""Names and labels of what is rendered, and the paths that a pod's images and mounts agree on."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from millpond.model.errors import MillpondError
from millpond.model.platform import Node, Platform
from millpond.targets.kubernetes.bundle import COMPONENT, MANAGED_BY, MANAGER, PART_OF, PLATFORM

INSTANCE = "app.kubernetes.io/instance"
NAME = "app.kubernetes.io/name"
ROLE = "app.kubernetes.io/component"
MAIN = "main"
"""The role of the pod that has all processes but those that stand apart."""

ROOT = "/opt/millpond"
VENV = f"{ROOT}/venv"
FOLDER = f"{ROOT}/component"
DATA = "/data"
FILES = "/etc/millpond/files"
COMPOSED = "/etc/millpond/composed"
USER = 10001

_LONGEST = 63
"""Characters of a Service's name; other names may be longer."""


def dns(text: str) -> str:
    """A name as Kubernetes takes it: ``model_store`` becomes ``model-store``."""
    return text.replace("_", "-")


def resource(*words: str) -> str:
    """The name of an object, of several words; shortened by a hash where it would be too long.

    >>> resource("mlflow", "files")
    'mlflow-files'
    """
    name = "-".join(re.sub(r"[^a-z0-9-]+", "-", dns(word).lower()).strip("-") for word in words)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9].rstrip('-')}-{digest(name)[:8]}"


def digest(data: Any) -> str:
    """A hash of plain data, 16 hexadecimal digits, the same for equal data."""
    text = data if isinstance(data, str) else json.dumps(data, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def labels(platform: Platform, node: Node | None = None, role: str | None = None) -> dict[str, str]:
    """The labels of an object of a node, or of the platform itself."""
    found = {
        PART_OF: platform.name,
        MANAGED_BY: MANAGER,
        COMPONENT: dns(node.name) if node else PLATFORM,
    }
    if node:
        found |= {NAME: node.component.name, INSTANCE: dns(node.name)}
    if role:
        found[ROLE] = role
    return dict(sorted(found.items()))


def selector(platform: Platform, node: str, role: str | None = None) -> dict[str, str]:
    """The labels by which a node's pods are found; those of one role, or all with its jobs'."""
    found = {PART_OF: platform.name, INSTANCE: dns(node)}
    return {**found, ROLE: role} if role else found


def namespace(platform: Platform) -> str:
    """The namespace: the flavour's, or the platform's name."""
    return platform.cluster.namespace or dns(platform.name)


def refuse_clashes(platform: Platform) -> None:
    """Two nodes must not come down to one name.

    Raises:
        MillpondError: they would.
    """
    seen: dict[str, str] = {PLATFORM: "the platform's own objects"}
    for name in platform.nodes:
        if dns(name) in seen:
            raise MillpondError(
                f"{name} and {seen[dns(name)]} would have the same names on a cluster",
                hint="call one of them something else",
                exit_code=3,
            )
        seen[dns(name)] = name
