"""Models for ``millpond images``: found in the registry, brought here, and given the lock of their packages.

Runs in the environment that serving has, as what a model needs is compared with that.
"""

from __future__ import annotations

import asyncio
import os
import platform as machine
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millpond.cli.busy import busy
from millpond.model.errors import MillpondError
from millpond.serving.controller.artifacts import Artifact, ArtifactStore
from millpond.serving.controller.environments import lock_for
from millpond.targets.kubernetes.images.model import Model

_PYTHON = "3.11"
_ARCHITECTURES = {"arm64": "aarch64", "amd64": "x86_64"}


@dataclass(frozen=True)
class Found:
    """A model that is here, with the lock of its packages, and why it is that one; None is serving's own."""

    model: Model
    lock: Path | None
    reason: str


def uri_of(word: str, folder: Path) -> str:
    """What a word of the command line means.

    >>> uri_of("flights", Path("/")), uri_of("flights/3", Path("/")), uri_of("flights@best", Path("/"))
    ('models:/flights/latest', 'models:/flights/3', 'models:/flights@best')
    >>> uri_of("s3://lake/m", Path("/")), uri_of("./m", Path("/here"))
    ('s3://lake/m', '/here/m')
    """
    if re.match(r"[a-z0-9-]+:/", word):
        return word
    if word.startswith((".", "/", "~")):
        return os.path.normpath(folder / Path(word).expanduser())
    return f"models:/{word}" if re.search(r"[/@]", word) else f"models:/{word}/latest"


def found(words: Sequence[str], model_format: str, here: Path, files: Path, kept: Path) -> list[Found]:
    """The models that the words name, each with its files below `files`.

    Args:
        words: as `uri_of` takes them.
        model_format: what wrote them, as KServe's ``modelFormat`` names it.
        here: the folder that paths start from.
        files: a folder for the models' files.
        kept: a folder for the locks, which stay as they are from one build to the next.

    Raises:
        MillpondError: there is no such model, or its requirements cannot be had.
    """
    return [_found(uri_of(word, here), model_format, files, kept) for word in words]


def _found(uri: str, model_format: str, files: Path, kept: Path) -> Found:
    registry = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if uri.startswith(("models:", "runs:")) and not registry:
        raise MillpondError(
            f"there is no registry to find {uri} in",
            hint="call it where your platform is, set MLFLOW_TRACKING_URI, or name a folder: ./FOLDER",
        )
    store = ArtifactStore(files)
    said = [""]

    def arriving(size: int, count: int) -> None:
        said[0] = f"{size / 1e6:.1f} MB"

    with busy(f"fetching {uri}", lambda: said[0]):
        artifact = asyncio.run(store.fetch(uri, {}, model_format, arriving))
    model = _model(artifact, store.folder(artifact.digest))
    architecture = machine.machine()
    linux = f"{_ARCHITECTURES.get(architecture, architecture)}-unknown-linux-gnu"

    def tell(sentence: str) -> None:
        said[0] = sentence

    said[0] = ""
    with busy(f"model {model.name}", lambda: said[0]):
        lock, reason = asyncio.run(
            lock_for(model.folder, model_format, kept, tell, name=model.name, machine=(_PYTHON, linux))
        )
    return Found(model, lock, reason)


def _model(artifact: Artifact, folder: Path) -> Model:
    """What the image is called by: the registry's words, else the last of the path and the run."""
    path = artifact.uri.rstrip("/")
    if artifact.version is not None and path.startswith("models:/"):
        name = path.removeprefix("models:/").rpartition("/")[0]
    else:
        name = path.rpartition("/")[2]
    if not name:
        raise MillpondError(f"{artifact.uri} names no model", hint="millpond images --model NAME/VERSION")
    version = artifact.version or (artifact.run_id or artifact.digest)[:8]
    # Where a folder is on this machine is nobody's business who gets the image.
    uri = name if path.startswith("/") else artifact.uri
    return Model(name, version, uri, artifact.digest, folder)
