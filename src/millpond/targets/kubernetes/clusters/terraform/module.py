"""A Terraform module of one cloud: the files as they stand beside this one, and an example of variables."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

from millpond.model.errors import MillpondError, UsageError

NO_GPU = "none"
_EXAMPLE = "terraform.tfvars.example"
# As the modules' own validation has it.
_NAME = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")
# Regions and machine types of the three clouds; nothing that could end a string of HCL.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Cloud:
    """A managed Kubernetes that there is a module for.

    Args:
        name: what users say, and the folder with its files.
        title: its name in prose.
        region: where it is made when nobody says so.
        gpu: the machines with a GPU that are taken when nobody names others.
    """

    name: str
    title: str
    region: str
    gpu: str

    @property
    def folder(self) -> Path:
        """Where its files stand in the package."""
        return Path(__file__).parent / self.name


CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud("aks", "Azure", "westeurope", "Standard_NC4as_T4_v3"),
        Cloud("eks", "AWS", "eu-central-1", "g5.xlarge"),
        Cloud("gke", "Google Cloud", "europe-west4", "g2-standard-4"),
    )
}


def render(
    cloud: Cloud, *, name: str = "millpond", region: str = "", gpu: str = "", images: Iterable[str] = ()
) -> dict[str, str]:
    """The module's files by name.

    What is asked for goes into the example of variables alone, so that the rest is the same for everybody.

    Args:
        cloud: which one.
        name: the cluster's name.
        region: where it is made; the cloud's default when empty.
        gpu: the size of GPU nodes, or ``none``; the cloud's default when empty.
        images: names of images without registry and tag; a registry may want a repository for each.

    Raises:
        UsageError: a name, region or size that cannot be one.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"the cluster cannot be called {name!r}",
            hint="2 to 20 small letters, digits and hyphens, a letter first, no hyphen at the end",
        )
    given = {"region": region or cloud.region, "gpu": gpu or cloud.gpu}
    for what, value in given.items():
        if not _WORD.fullmatch(value):
            raise UsageError(
                f"{value!r} is no {what} of {cloud.title}", hint=f"such as {getattr(cloud, what)}"
            )
    found = {path.name: path.read_text() for path in sorted(cloud.folder.iterdir()) if path.is_file()}
    lines = "\n".join(f'  "{image}",' for image in images)
    found[_EXAMPLE] = Template(found[_EXAMPLE]).substitute(given, name=name, images=lines)
    return found


def write(files: dict[str, str], folder: Path) -> list[Path]:
    """Write the files, and say which were written; those that say the same already are left alone.

    Raises:
        MillpondError: a file is there and says something else, or the folder cannot be written to.
    """
    try:
        changed = [name for name, text in files.items() if not _says(folder / name, text)]
        if other := [name for name in changed if (folder / name).exists()]:
            raise MillpondError(
                f"{folder} has another {', '.join(other)} already, and nothing was written",
                hint="name an empty folder with -o, or delete these files first",
            )
        folder.mkdir(parents=True, exist_ok=True)
        for name in changed:
            (folder / name).write_text(files[name])
    except (OSError, UnicodeDecodeError) as error:
        raise MillpondError(f"the module cannot be written to {folder}: {error}") from None
    return [folder / name for name in changed]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text
