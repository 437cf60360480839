"""The deployments' files, ``deployments/NAME.yaml`` beside the flavour file.

Commands edit them as they edit what is deployed, so that a project's history tells what served when.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from millpond.cli.yaml_text import dump, revised
from millpond.model.document import read
from millpond.model.errors import DocumentError, Place, did_you_mean
from millpond.serving import inferencegraph, inferenceservice, seldon

FOLDER = "deployments"
KINDS = ("InferenceService", "InferenceGraph", "SeldonDeployment")
_MARK = re.compile(r"^---(?=\s|$)", re.M)

Data = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One document of a file that was given.

    Args:
        kind: ``InferenceService`` or ``InferenceGraph``.
        document: what is applied.
        text: as it was written, comments and all; of a translation, as it would be written.
        origin: what it was translated from, such as ``SeldonDeployment wines``; else empty.
    """

    kind: str
    document: Data
    text: str
    origin: str = ""

    @property
    def name(self) -> str:
        """The deployment's or the graph's name."""
        return str(self.document["metadata"]["name"])


class DeploymentFiles:
    """The files of one project.

    Args:
        project: the folder of the flavour file.
    """

    def __init__(self, project: Path) -> None:
        self.folder = project / FOLDER

    def path(self, name: str) -> Path:
        """Where a deployment's file is, or would be."""
        return self.folder / f"{name}.yaml"

    def read(self, name: str) -> Data | None:
        """The document in a deployment's file as it is written; None when there is no file.

        Raises:
            DocumentError: it is not one ``InferenceService`` with this name.
        """
        path = self.path(name)
        if not path.is_file():
            return None
        text = path.read_text(encoding="utf-8")
        found = inferenceservice.read(text, str(path))
        document = read(text, str(path))
        if found.metadata.name != name:
            raise document.error(
                ("metadata", "name"), f"the name is {found.metadata.name}, the file's {name}"
            )
        data: Data = document.data
        # Older forms of a document are said in the newer one, which is what commands edit.
        if "model" not in data["spec"]["predictor"]:
            data = found.document()
        return {"apiVersion": found.apiVersion, "kind": found.kind, **data}

    def text(self, name: str, document: Data) -> str:
        """What a deployment's file says once it says this."""
        path = self.path(name)
        if path.is_file():
            return revised(path.read_text(encoding="utf-8"), document)
        return (
            f"# The deployment {name}. What is changed here has an effect with\n"
            f"#   millpond deploy -f {FOLDER}/{name}.yaml\n" + dump(document)
        )

    def write(self, name: str, text: str) -> Path | None:
        """Write a deployment's file, whole or not at all; its path, or None when it said that before."""
        path = self.path(name)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return None
        self.folder.mkdir(exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        return path


def parts(text: str, source: str) -> list[Part]:
    """The documents of a file, in the order to apply them; all are checked before one is returned.

    Raises:
        DocumentError: with file, line and column of what is wrong.
    """
    found = [part for one in _split(text) for part in _parts(one, source)]
    if not found:
        raise DocumentError(Place(source, 1, 1), "there is no document in it", hint=f"known are {_KNOWN}")
    return found


_KNOWN = ", ".join(KINDS)


def _split(text: str) -> Iterator[str]:
    """Each document under as many empty lines as stood above it, so that its places are the file's."""
    starts = [0, *(match.start() for match in _MARK.finditer(text)), len(text)]
    for start, end in pairwise(starts):
        own = _MARK.sub("", text[start:end], count=1)
        if any(line.strip() and not line.lstrip().startswith("#") for line in own.splitlines()):
            yield "\n" * text.count("\n", 0, start) + own


def _parts(text: str, source: str) -> Iterator[Part]:
    document = read(text, source)
    kind = document.data.get("kind") if isinstance(document.data, dict) else None
    own = text.strip("\n") + "\n"
    if kind == "InferenceService":
        yield Part(kind, inferenceservice.read(text, source).document(), own)
    elif kind == "InferenceGraph":
        yield Part(kind, inferencegraph.read(text, source).document(), own)
    elif kind == "SeldonDeployment":
        for each in seldon.translate(text, source):
            origin = f"SeldonDeployment {document.data['metadata']['name']}"
            yield Part(each["kind"], each, dump(each), origin)
    elif kind is None:
        raise document.error((), "kind is missing", hint=f"known are {_KNOWN}")
    else:
        raise document.error(("kind",), f"the kind {kind} is not known", hint=did_you_mean(str(kind), KINDS))
