"""Finds and reads flavour files: the project's own, and those that ship with Millpond."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from millpond.catalogue import Catalogue
from millpond.model import document
from millpond.model.document import Document
from millpond.model.errors import MillpondError, did_you_mean
from millpond.model.flavour import Flavour
from millpond.model.platform import Platform
from millpond.model.resolve import resolve

FILE = "millpond.yaml"
SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class Source:
    """A flavour with the file that it stands in."""

    path: Path
    flavour: Flavour
    document: Document
    notes: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def project(self) -> Path:
        """The folder that has the platform's state: that of the file, where no other one was named."""
        return self.folder or self.path.parent

    def catalogue(self) -> Catalogue:
        """The catalogue, with the folders that the flavour adds."""
        return Catalogue((self.path.parent / folder).resolve() for folder in self.flavour.catalogue)

    def resolve(self, catalogue: Catalogue) -> Platform:
        """The platform; see `millpond.model.resolve.resolve` for what is raised."""
        return resolve(self._located(), catalogue, self.document)

    def _located(self) -> Flavour:
        """The flavour with the paths of its values files taken from its folder."""
        found = {
            name: selection.model_copy(update={"values": str(self.path.parent / selection.values)})
            for name, selection in self.flavour.components.items()
            if isinstance(selection.values, str)
        }
        if not found:
            return self.flavour
        return self.flavour.model_copy(update={"components": {**self.flavour.components, **found}})


class NoFlavourError(MillpondError):
    """Neither a folder nor one above it has a flavour file."""

    exit_code = 3


def find(start: Path) -> Path:
    """The flavour file of a folder, or of the nearest one above it.

    Raises:
        NoFlavourError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise NoFlavourError(f"no {FILE} in {start} or above it", hint="millpond init starter writes one")


def read(path: Path, *, cluster: bool = False) -> Source:
    """Read a flavour file, Millpond's own or Data-Mill's.

    Args:
        path: the file.
        cluster: whether a cluster is meant, which Data-Mill's do not say; Millpond's own say it themselves.

    Raises:
        DocumentError: it is wrong, with the place.
        MillpondError: it cannot be read.
    """
    try:
        text = path.read_text()
    except OSError as error:
        raise MillpondError(f"{path} cannot be read: {error.strerror}", exit_code=3) from None
    found = document.read(text, str(path))
    if isinstance(found.data, dict) and "project" in found.data:
        # Imported where it is needed: every command reads a flavour, few read one of Data-Mill's.
        from millpond.flavours.datamill import translate

        translated = translate(path, cluster=cluster)
        notes = tuple(note.text for note in translated.notes)
        return Source(path, translated.flavour, translated.document, notes)
    return Source(path, document.parse(Flavour, found), found)


def shipped() -> Iterator[Source]:
    """The flavours that ship with Millpond, by name."""
    for path in sorted(SHIPPED.glob("*.yaml")):
        yield read(path)


def shipped_text(name: str) -> str:
    """The commented text of a shipped flavour, for ``millpond init``.

    Raises:
        MillpondError: there is none of that name.
    """
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        names = [found.stem for found in SHIPPED.glob("*.yaml")]
        raise MillpondError(f"no flavour is called {name}", hint=did_you_mean(name, names))
    return path.read_text()
