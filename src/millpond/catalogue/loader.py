"""Reads the catalogue: interfaces, and one folder per component.

The shipped folders come first, then those of installed packages (entry points ``millpond.catalogues``,
each naming a package with ``components/`` and ``interfaces/``), then those that a flavour names. Only what
is asked for is parsed: a platform of five components reads five files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from millpond.model import document, scope
from millpond.model.component import Component
from millpond.model.document import Document
from millpond.model.errors import DocumentError, MillpondError, did_you_mean
from millpond.model.interface import Interface

SHIPPED = Path(__file__).parent


@dataclass(frozen=True)
class Entry:
    """A component with the folder that it came from."""

    component: Component
    folder: Path

    @cached_property
    def digest(self) -> str:
        """A hash of every file of the folder, so that a change of any of them is a change."""
        found = hashlib.sha256()
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(f"{path.relative_to(self.folder)}\0".encode())
                found.update(path.read_bytes())
        return found.hexdigest()

    def resource(self, name: str) -> Path:
        """A file that the component names: in its folder, or ``environments/…`` of the catalogue.

        Raises:
            MillpondError: there is none.
        """
        for base in (self.folder, self.folder.parent.parent):
            if (base / name).is_file():
                return base / name
        raise MillpondError(
            f"{self.component.name} names the file {name}, which is not in its folder {self.folder}"
        )


class Catalogue:
    """All components and interfaces that can be found.

    Args:
        folders: more folders of components, each ``<folder>/<name>/component.yaml``.

    Raises:
        MillpondError: a folder does not exist.
        DocumentError: a file in one of them is wrong.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        self._folders = dict(self._find(folders))

    def _find(self, folders: Iterable[Path]) -> Iterator[tuple[str, Path]]:
        for base in (SHIPPED, *self._installed):
            yield from _components(base / "components")
        for folder in folders:
            if not folder.is_dir():
                raise MillpondError(f"the catalogue folder {folder} does not exist", exit_code=3)
            yield from _components(folder)

    @cached_property
    def _installed(self) -> list[Path]:
        return [Path(str(files(point.module))) for point in entry_points(group="millpond.catalogues")]

    @cached_property
    def interfaces(self) -> Mapping[str, Interface]:
        """All interfaces by name."""
        found = {}
        for base in (SHIPPED, *self._installed):
            for path in sorted((base / "interfaces").glob("*.yaml")):
                read = document.read(path.read_text(), str(path))
                interface = document.parse(Interface, read)
                wrong = scope.check_interface(interface)
                if wrong:
                    raise read.error(*wrong)
                found[interface.name] = interface
        return found

    @property
    def names(self) -> list[str]:
        """The names of all components, sorted."""
        return sorted(self._folders)

    def component(self, name: str) -> Component | None:
        """The component of that name or alias, or None."""
        found = self._folders.get(name)
        if found is not None:
            return self.entry(name).component
        return next((entry.component for entry in self if name in entry.component.aliases), None)

    def entry(self, name: str) -> Entry:
        """The component of that name, with its folder.

        Raises:
            MillpondError: there is none.
        """
        if name not in self._folders:
            raise MillpondError(f"no component is called {name}", hint=did_you_mean(name, self._folders))
        if name not in self._entries:
            folder = self._folders[name]
            self._entries[name] = Entry(read_component(folder, self.interfaces), folder)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return (self.entry(name) for name in self.names)


def _components(folder: Path) -> Iterator[tuple[str, Path]]:
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if (path / "component.yaml").is_file():
                yield path.name, path


def read_component(folder: Path, interfaces: Mapping[str, Interface]) -> Component:
    """Read and check one component: its keys, its interfaces, and every ``${…}`` in it.

    Raises:
        DocumentError: with the place of the first mistake, or `DocumentErrors` with all of them.
    """
    path = folder / "component.yaml"
    found = document.read(path.read_text(), str(path))
    component = document.parse(Component, found)
    if component.name != folder.name:
        raise found.error(("name",), f"the component is called {component.name}, its folder {folder.name}")
    _check_interfaces(component, found, interfaces)
    _check_files(component, found, folder)
    for at, text in _templates(found.data, ()):
        if not _is_template(at):
            continue
        grants = str(at[1]) if at[0] == "provides" else ""
        if at[:2] == ("chart", "secrets") and len(component.provides) == 1:
            # A chart's Secrets may be made for each asker of the one thing that it provides.
            grants = next(iter(component.provides))
        argument = at[-2:-1] == ("command",) and isinstance(at[-1], int)
        values = at[0] == "chart" and at[1] != "secrets"
        reason = scope.check(text, component, interfaces, grants=grants, command=argument, chart=values)
        if reason:
            raise found.error(at, reason)
    return component


def _check_interfaces(component: Component, found: Document, interfaces: Mapping[str, Interface]) -> None:
    for section in ("requires", "provides"):
        for name, wanted in getattr(component, section).items():
            interface = interfaces.get(wanted.interface)
            if interface is None:
                raise found.error(
                    (section, name, "interface"),
                    f"no interface is called {wanted.interface}",
                    hint=did_you_mean(wanted.interface, interfaces),
                )
            given = wanted.request if section == "requires" else wanted.properties
            known: Mapping[str, Any] = interface.request if section == "requires" else interface.properties
            for key in given:
                if key not in known:
                    raise DocumentError(
                        found.key_place((section, name, key)),
                        f"{interface.name} has no {key}",
                        hint=did_you_mean(key, known),
                    )
            if section == "provides":
                for key, wished in interface.properties.items():
                    if wished.required and wished.default is None and key not in given:
                        raise found.error((section, name), f"{interface.name} lacks {key}: {wished.help}")


def _check_files(component: Component, found: Document, folder: Path) -> None:
    for name, file in component.service.files.items():
        if file.template and not (folder / file.template).is_file():
            raise found.error(("service", "files", name), f"{file.template} is not in {folder}")
    for index, name in enumerate(component.chart.objects if component.chart else ()):
        if not (folder / name).is_file():
            raise found.error(("chart", "objects", index), f"{name} is not in {folder}")


def _is_template(at: document.Path) -> bool:
    """Options, summaries and probes' patterns are plain text; the rest may speak of the platform."""
    if at[0] == "service":
        return at[-1] not in ("log", "template")
    if at[0] == "chart":
        return at[1] in ("values", "gpu", "secrets", "endpoints", "pods", "namespace")
    return at[0] in ("provides", "requires")


def _templates(data: Any, at: document.Path) -> Iterator[tuple[document.Path, str]]:
    if isinstance(data, str):
        yield at, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _templates(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _templates(value, (*at, index))
