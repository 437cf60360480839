"""Images of models: serving's, with the environment of one model and its files inside.

A pod of such an image fetches nothing. Where the model runs in the environment that serving has anyway, its
image is one layer on serving's own, which a node then has already.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from millpond.catalogue import Entry
from millpond.targets.kubernetes.images.context import Context, context
from millpond.targets.kubernetes.images.dockerfile import label
from millpond.targets.kubernetes.images.places import MODEL, ORIGIN


@dataclass(frozen=True)
class Model:
    """A model whose files are here.

    Args:
        name: what it is called.
        version: of the registry, or what stands for it.
        uri: as a revision of a deployment has it: never an alias.
        digest: over the names and contents of its files.
        folder: has them.
    """

    name: str
    version: str
    uri: str
    digest: str
    folder: Path


def model_context(
    entry: Entry, model: Model, lock: Path | None, serving: str, *, cuda: bool = False
) -> Context:
    """The context of a model's image.

    Args:
        entry: the component that serves.
        model: whose.
        lock: the hashed lock of the model's environment; None for the component's own.
        serving: the image of that component, which this one then stands on.
        cuda: the variant for GPUs.

    Raises:
        MillpondError: as `context`.
    """
    origin = json.dumps({"uri": model.uri, "digest": model.digest}, sort_keys=True).encode() + b"\n"
    # Its files come last, so that models with one environment share what is below them.
    copies = [f"COPY model {MODEL}", f"COPY origin.json {ORIGIN}"]
    labels = [
        label("title", f"model {model.name}"),
        label("description", f"{model.uri} with its environment"),
        label("version", model.version),
    ]
    if lock is None:
        lines = [f"FROM {serving}", *copies, *labels]
        files = {"Dockerfile": "\n".join([*lines, ""]).encode()}
        return Context({**files, "origin.json": origin}, False, model.folder, model.digest)
    found = context(entry, cuda=cuda, lock=lock)
    lines = [line for line in found.files["Dockerfile"].decode().splitlines() if line != "USER 10001:10001"]
    text = "\n".join([*lines, *copies, *labels, "USER 10001:10001", ""])
    files = {**found.files, "Dockerfile": text.encode(), "origin.json": origin}
    return replace(found, files=files, model=model.folder, model_digest=model.digest)


def model_image(model: Model, found: Context, registry: str, *, cuda: bool = False) -> str:
    """The name of a model's image: ``REGISTRY/millpond-model-NAME:VERSION-HASH[-cuda]``."""
    name = re.sub(r"[^a-z0-9]+", "-", model.name.lower()).strip("-") or "model"
    version = re.sub(r"[^A-Za-z0-9_.-]", "-", model.version).lstrip(".-") or "0"
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}millpond-model-{name}:{version}-{found.digest[:12]}{'-cuda' if cuda else ''}"
