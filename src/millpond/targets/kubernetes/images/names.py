"""Names of images: what is inside decides the tag, so that a changed image never hides behind an old name."""

from __future__ import annotations

import re

from millpond.catalogue import Entry
from millpond.model.cluster import Cluster
from millpond.targets.kubernetes.images.context import Context, context


def image(entry: Entry, cluster: Cluster, *, cuda: bool = False) -> str:
    """The name of a component's image: ``REGISTRY/millpond-NAME:VERSION-HASH[-cuda]``.

    Without a registry it has none in front, and nodes need the image imported. Asks nothing but files of the
    catalogue.

    Raises:
        MillpondError: the component has nothing to build, or a lock is wrong.
    """
    return named(entry, context(entry, cuda=cuda), cluster.registry, cuda=cuda)


def named(entry: Entry, found: Context, registry: str, *, cuda: bool = False) -> str:
    """The name of the image that is built from a context."""
    version = re.sub(r"[^A-Za-z0-9_.-]", "-", entry.component.version).lstrip(".-")
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}millpond-{entry.component.name}:{version}-{found.digest[:12]}{'-cuda' if cuda else ''}"
