"""The configuration of each component, merged from all places where Data-Mill lets it stand.

From the lowest to the highest: the component folder's default file, the file there that is called like the
flavour, the flavour's own section. Data-Mill took the highest alone; here they are merged key by key.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from millpond.flavours.datamill import mapping
from millpond.flavours.datamill.layout import Layout
from millpond.flavours.datamill.mapping import Entry, Names
from millpond.flavours.datamill.places import overlay, part
from millpond.flavours.datamill.settings import LOCATIONS, ComponentConfig, Project
from millpond.model import document as documents
from millpond.model.document import Document
from millpond.model.errors import DocumentError, did_you_mean

CONVENTION = Project().component_default_config


@dataclass(frozen=True)
class Settings:
    """What is configured for one component.

    Args:
        name: its folder's name.
        config: the merged configuration.
        document: the same, every key with its place.
        values_file: its values file, None when it has none or Data-Mill's own is meant.
        values: what is in it; only read for components that take something from it, or whose chart may.
    """

    name: str
    config: ComponentConfig
    document: Document
    values_file: Path | None
    values: Document | None


class Configuration:
    """All sections of a flavour, and the files around it.

    Raises:
        DocumentError: a section is unknown, or configures a component twice.
    """

    def __init__(
        self, flavour: Document, layout: Layout, project: Project, listed: list[str], catalogue: Names
    ) -> None:
        self.flavour = flavour
        self.layout = layout
        self.project = project
        self.strangers: list[str] = []
        self._sections: dict[str, str] = {}
        self._config_folder = self._find_config_folder()
        own = self._own_sections(listed)
        for key in flavour.data:
            if key in ("project", *LOCATIONS, *mapping.companions()):
                continue
            name = mapping.folder_of(key, own) or (key if catalogue.component(key) else None)
            if name is None:
                self._unknown(key, own)
            elif name in self._sections:
                raise DocumentError(
                    flavour.key_place((key,)),
                    f"{key} and {self._sections[name]} both configure {name}",
                    hint="write the keys under one of them",
                )
            else:
                self._sections[name] = key

    def _unknown(self, key: str, own: dict[str, str]) -> None:
        """A section close to a known word is a slip; any other one may be meant for something else."""
        known = {"project", *LOCATIONS, *own}
        known.update(section for name in mapping.entries() for section in mapping.sections_of(name))
        if get_close_matches(key, known, n=1, cutoff=0.7):
            raise DocumentError(
                self.flavour.key_place((key,)), f"unknown section {key}", hint=did_you_mean(key, known)
            )
        self.strangers.append(key)

    def _own_sections(self, listed: list[str]) -> dict[str, str]:
        """The configuration keys of component folders that Data-Mill does not know."""
        own = {name: name for name in listed if name not in mapping.entries()}
        for name, folder in self.layout.components.items():
            if name in mapping.entries():
                continue
            own[name] = name
            own[name.replace("-", "_")] = name
            path = folder / self.project.component_default_config
            if path.is_file():
                data = _read(path).data
                own.update(dict.fromkeys(data if isinstance(data, dict) else (), name))
        return own

    def _find_config_folder(self) -> Path:
        wanted = self.project.config_folder
        if wanted is None:
            return self.layout.folder
        found = self.layout.find_folder(wanted)
        if found is None:
            raise self.flavour.error(
                ("project", "config_folder"),
                f"the folder {wanted} does not exist",
                hint="a relative one is looked up beside the flavour, then in the folder above its own",
            )
        return found

    def settings(self, name: str, entry: Entry, *, used: bool, chart: bool = False) -> Settings:
        """The settings of one component.

        Args:
            name: its folder's name.
            entry: what is known of it.
            used: whether the platform has it; what is left out need not be complete.
            chart: whether a chart may be given what its values file says.

        Raises:
            DocumentError: a value does not fit, or a named file is missing.
        """
        merged = self._merged(name, used=used)
        config = documents.parse(ComponentConfig, merged)
        path = self._values_file(name, entry, config, merged)
        values = _read(path) if path and used and (entry.values or chart) else None
        return Settings(name, config, merged, path, values)

    def _merged(self, name: str, *, used: bool) -> Document:
        layers = []
        folder = self.layout.components.get(name)
        if folder is not None:
            default = folder / self.project.component_default_config
            names = dict.fromkeys([default, folder / self.layout.flavour.name])
            layers = [self._section_of(name, path) for path in names if path.is_file()]
        key = self._sections.get(name)
        if key is not None:
            layers.append(_section(self.flavour, key))
        if not layers:
            if folder is not None and used and self.project.component_default_config != CONVENTION:
                raise self.flavour.error(
                    ("project", "component_default_config"),
                    f"{name} is not configured: {default} does not exist",
                )
            return Document(str(self.layout.flavour), {}, {}, {})
        merged = layers[0]
        for layer in layers[1:]:
            merged = overlay(merged, layer)
        return merged

    def _section_of(self, name: str, path: Path) -> Document:
        """The component's part of a file in its folder; a file of one section has that one."""
        found = _read(path)
        if found.data is None:
            return Document(str(path), {}, {}, {})
        if not isinstance(found.data, dict):
            raise found.error((), f"the configuration of {name} must be a mapping")
        key = next((key for key in mapping.sections_of(name) if key in found.data), None)
        if key is None and len(found.data) == 1:
            key = next(iter(found.data))
        if key is None:
            raise found.error((), f"nothing here configures {name}", hint=f"write a section {name}:")
        return _section(found, key)

    def _values_file(self, name: str, entry: Entry, config: ComponentConfig, merged: Document) -> Path | None:
        if not config.config_file:
            return None
        folders = [self._config_folder, self.layout.components.get(name)]
        found = self.layout.find(config.config_file, folders)
        if found is None and config.config_file not in entry.brings:
            looked = " or ".join(str(folder) for folder in folders if folder is not None)
            raise merged.error(
                ("config_file",),
                f"the values file {config.config_file} of {name} does not exist",
                hint=f"put it into {looked}, or leave config_file out",
            )
        return found


def _section(found: Document, key: str) -> Document:
    section = part(found, (key,))
    if not isinstance(section.data, dict):
        raise found.error((key,), f"{key} must be a mapping (key: value), not {section.data!r}")
    return section


def _read(path: Path) -> Document:
    return documents.read(path.read_text(encoding="utf-8"), str(path))
