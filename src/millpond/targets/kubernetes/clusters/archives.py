"""Images as archives: files are taken as they are, names are saved from the engine that has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.clusters.machine import Machine, Step

ENGINES = ("docker", "podman", "nerdctl")
_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst")


@dataclass(frozen=True)
class Archives:
    """What is to be loaded.

    Args:
        files: the archives.
        saving: the steps that make those that are not there yet.
    """

    files: Sequence[Path]
    saving: Sequence[Step]


def archives(names: Sequence[str], folder: Path, scratch: Path, machine: Machine) -> Archives:
    """The archives of images.

    Args:
        names: images, or archives' paths.
        folder: what a relative path starts from.
        scratch: where images are saved to; its owner empties it.
        machine: where the container engine is.

    Raises:
        MillpondError: an archive is missing, or no container engine is there to save an image.
    """
    files: list[Path] = []
    saving: list[Step] = []
    for name in names:
        path = folder / Path(name).expanduser()
        if name.endswith(_SUFFIXES) or path.is_file():
            if not path.is_file():
                raise MillpondError(
                    f"there is no archive {name}", hint="`docker save -o FILE IMAGE` makes one"
                )
            files.append(path)
            continue
        target = scratch / (re.sub(r"[^A-Za-z0-9.-]+", "-", name) + ".tar")
        saving.append(_save(name, target, machine))
        files.append(target)
    return Archives(files, saving)


def _save(image: str, target: Path, machine: Machine) -> Step:
    engines = [engine for engine in ENGINES if machine.find(engine)]
    # The one that has it; where none says so, the first one tells the user why.
    for engine in engines:
        if machine.ask(engine, "image", "inspect", image).code == 0:
            return Step((engine, "save", "-o", str(target), image))
    if machine.find("buildah") and machine.ask("buildah", "inspect", "--type", "image", image).code == 0:
        return Step(("buildah", "push", image, f"docker-archive:{target}:{image}"))
    looked = [*engines, *(["buildah"] if machine.find("buildah") else [])]
    raise MillpondError(
        f"the image {image} is not on this machine"
        + (f": {', '.join(looked)} {'does' if len(looked) == 1 else 'do'} not have it" if looked else ""),
        hint="`millpond images --build` builds the platform's own; an archive's path works without an engine",
    )
