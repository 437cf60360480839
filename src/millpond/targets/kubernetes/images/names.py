"""The names of images: they change when what is in them does."""

from __future__ import annotations

import hashlib

from millpond.catalogue import Entry
from millpond.model.cluster import Cluster


def image(entry: Entry, cluster: Cluster, *, cuda: bool = False) -> str:
    """The name of a component's image.

    Args:
        entry: the component.
        cluster: names the registry.
        cuda: the variant for GPUs.
    """
    found = hashlib.sha256(entry.digest.encode())
    for lock in entry.component.service.install.model_dump(exclude_none=True).values():
        if isinstance(lock, str):
            found.update(entry.resource(lock).read_bytes())
    registry = f"{cluster.registry.rstrip('/')}/" if cluster.registry else ""
    component = entry.component
    suffix = "-cuda" if cuda else ""
    return f"{registry}millpond-{component.name}:{component.version}-{found.hexdigest()[:12]}{suffix}"
