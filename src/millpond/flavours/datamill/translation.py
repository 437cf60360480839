"""From a Data-Mill flavour to one of Millpond's: the components, their options, and where each was said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from millpond.catalogue import Catalogue
from millpond.flavours.datamill import mapping
from millpond.flavours.datamill.configuration import Configuration, Settings
from millpond.flavours.datamill.layout import Layout
from millpond.flavours.datamill.mapping import Entry, Names, Rule
from millpond.flavours.datamill.places import moved, overlay, part
from millpond.flavours.datamill.settings import Location, Project, Target
from millpond.flavours.datamill.targets import find_target, kubeconfig
from millpond.model import document as documents
from millpond.model.cluster import Cluster
from millpond.model.component import Component
from millpond.model.document import Document
from millpond.model.errors import DocumentError, MillpondError, Place, UsageError, did_you_mean
from millpond.model.flavour import Data, Flavour, Selection
from millpond.model.option import Option

BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")


@dataclass(frozen=True)
class Note:
    """Something worth telling about a translation.

    Args:
        kind: ``mapped``, ``left out`` or ``kept`` (for a cluster; no effect on one machine).
        subject: Data-Mill's name of what it is about.
        text: the sentence.
        place: where the flavour speaks of it.
    """

    kind: str
    subject: str
    text: str
    place: Place | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class DataMillFlavour:
    """A translated flavour.

    Args:
        path: the file.
        location: where it is to run.
        flavour: what Millpond makes of it.
        document: the places of `flavour` in Data-Mill's files, for `millpond.model.resolve.resolve`.
        project: the section ``project``.
        target: the cluster's description, None when none is needed.
        kubeconfig: the cluster's credentials for a hybrid location.
        components: the settings of each component by Data-Mill's name, in the order of the list.
        selected: Millpond's component that ``-c`` named.
        notes: what was mapped, and what is left out.
        kept: what is kept for a cluster and has no effect on one machine.
    """

    path: Path
    location: Location
    flavour: Flavour
    document: Document
    project: Project
    target: Target | None
    kubeconfig: Path | None
    components: Mapping[str, Settings]
    selected: str | None
    notes: tuple[Note, ...]
    kept: tuple[Note, ...] = field(default=())


def is_datamill(document: Document) -> bool:
    """Whether a YAML document is a Data-Mill flavour: it has a section ``project``."""
    return isinstance(document.data, dict) and "project" in document.data


def translate(
    path: Path | str,
    *,
    target_file: str | None = None,
    component: str | None = None,
    location: Location = "local",
    cluster: bool = False,
    catalogue: Names | None = None,
) -> DataMillFlavour:
    """Read a Data-Mill flavour, with all files that it names, and translate it.

    Args:
        path: the flavour file.
        target_file: what ``-t`` names: a path, or the name of a file in ``k8s/configs``.
        component: what ``-c`` names: it joins the flavour where it is not in it.
        location: where it is to run.
        cluster: whether Millpond itself is told of a cluster; a remote or hybrid location always means one.
        catalogue: what components there are; Millpond's own when left out.

    Raises:
        DocumentError: a key or name is unknown, a value is wrong, a named file is missing: with its place.
        UsageError: `component` is unknown, or has no counterpart in the catalogue.
        MillpondError: the flavour file, or the target of a remote location, is missing.
    """
    known = Catalogue() if catalogue is None else catalogue
    translation = _Translation(Path(path), location, cluster or location != "local", known)
    return translation.run(target_file, component)


class _Translation:
    def __init__(self, path: Path, location: Location, cluster: bool, catalogue: Names) -> None:
        self.path = path
        self.location = location
        self.cluster = cluster
        self.catalogue = catalogue
        try:
            self.text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise MillpondError(f"the flavour {path} cannot be read: {error.strerror}") from None
        self.document = documents.read(self.text, str(path))
        if not is_datamill(self.document):
            raise self.document.error((), "this is no Data-Mill flavour: it has no section project")
        self.layout = Layout(path)
        self.project = _project(self.document)
        self.notes: list[Note] = []
        self.kept: list[Note] = []
        self.selections: dict[str, dict[str, Any]] = {}
        self.made = Document(str(path), {}, {}, {(): Place(str(path), 1, 1)})

    def run(self, target_file: str | None, component: str | None) -> DataMillFlavour:
        listed = self._listed()
        configuration = Configuration(
            self.document, self.layout, self.project, [n for n, _ in listed], self.catalogue
        )
        for key in configuration.strangers:
            place = self.document.key_place((key,))
            self._left_out(key, f"the section {key} configures no known component", place)
        target, target_document = find_target(
            self.document, self.layout, self.project, self.location, target_file
        )
        chosen = self._chosen(component) if component else None
        if chosen and chosen not in (name for name, _ in listed):
            listed.append((chosen, self.document.key_place(("project",))))
        components = {}
        selected = None
        for name, place in listed:
            entry = mapping.entry(name)
            counterpart = self._counterpart(name, entry, place, wanted=name == chosen)
            chart = self.cluster and counterpart is not None and "chart" in counterpart.recipes
            settings = configuration.settings(name, entry, used=counterpart is not None, chart=chart)
            components[name] = settings
            if settings.config.conventional:
                kept = ", ".join(f"{key} {value}" for key, value in settings.config.conventional.items())
                self.kept.append(Note("kept", name, f"{name}: {kept} (for a cluster)", place))
            if counterpart is not None:
                self._select(name, entry, counterpart, settings, place)
                selected = counterpart.name if name == chosen else selected
        if target is not None:
            given = ", ".join(
                f"{key} {value}" for key, value in target.model_dump(exclude_unset=True).items()
            )
            self.kept.append(Note("kept", self.location, f"{self.location}: {given} (for a cluster)"))
        flavour = Flavour(
            name=_platform_name(self.project.k8s_namespace),
            summary=f"Data-Mill's flavour {self.path.stem}",
            target="kubernetes" if self.cluster else "local",
            kubernetes=Cluster(storage_class=self._storage_class(components) if self.cluster else ""),
            components={name: Selection(**options) for name, options in self.selections.items()},
            data=self._data(),
        )
        return DataMillFlavour(
            path=self.path,
            location=self.location,
            flavour=flavour,
            document=replace(self.made, data={"components": self.selections}),
            project=self.project,
            target=target,
            kubeconfig=kubeconfig(target_document, target),
            components=components,
            selected=selected,
            notes=tuple(self.notes),
            kept=tuple(self.kept),
        )

    def _storage_class(self, components: Mapping[str, Settings]) -> str:
        """The class of all components that name one; where they name several it is none."""
        found = {name: settings.config.storage_class for name, settings in components.items()}
        named = {name: chosen for name, chosen in found.items() if chosen}
        if len(set(named.values())) < 2:
            return next(iter(named.values()), "")
        told = ", ".join(f"{name} {chosen}" for name, chosen in named.items())
        text = f"storage_class is left out: a platform has one for all its volumes, not several ({told})"
        self._left_out("storage_class", text, self.document.key_place(("project",)))
        return ""

    def _listed(self) -> list[tuple[str, Place]]:
        """The components that the project lists, each once, with the place of its name."""
        at = ("project", "flavour")
        wanted = self.project.flavour
        if isinstance(wanted, list):
            words = [(name, self.document.place((*at, index))) for index, name in enumerate(wanted)]
        else:
            words = _words(self.text, wanted or "", self.document.place(at))
        if [word for word, _ in words] in ([], ["all"]):
            names = [*self.layout.components] or [*mapping.entries()]
            return [(name, self.document.key_place(at)) for name in sorted(names)]
        found: dict[str, Place] = {}
        for word, place in words:
            name = self._known(word)
            if name is None:
                raise DocumentError(
                    place, f"no component is called {word}", hint=did_you_mean(word, self._all_names())
                )
            found.setdefault(name, place)
        return list(found.items())

    def _known(self, word: str) -> str | None:
        if word in self.layout.components:
            return word
        name = mapping.folder_of(word, {})
        return name or (word if self.catalogue.component(word) else None)

    def _all_names(self) -> list[str]:
        return [*mapping.entries(), *self.layout.components, *self.catalogue.names, "all"]

    def _chosen(self, component: str) -> str:
        name = self._known(component)
        if name is None:
            raise UsageError(
                f"-c: no component is called {component}", hint=did_you_mean(component, self._all_names())
            )
        return name

    def _counterpart(self, name: str, entry: Entry, place: Place, *, wanted: bool) -> Component | None:
        """Millpond's component in the place of Data-Mill's, with a note either way."""
        found = self.catalogue.component(entry.component) if entry.component else None
        if found is not None and (self.cluster or "service" in found.recipes):
            if found.name == name:
                self.notes.append(Note("mapped", name, f"{name} is in the catalogue", place))
            else:
                self.notes.append(Note("mapped", name, f"{found.name} stands in for {name}", place))
            return found
        missing = (
            "it runs on a cluster only" if found else f"the catalogue has no component {entry.component} yet"
        )
        reason = entry.cluster or missing
        if wanted:
            raise UsageError(f"-c {name}: {reason}", hint="`millpond catalogue` lists what there is")
        self._left_out(name, f"{name} is left out: {reason}", place)
        return None

    def _left_out(self, subject: str, text: str, place: Place) -> None:
        self.notes.append(Note("left out", subject, text, place))

    def _select(
        self, name: str, entry: Entry, component: Component, settings: Settings, place: Place
    ) -> None:
        at = ("components", component.name)
        if component.name not in self.selections:
            self.selections[component.name] = {}
            self.made.keys[at] = self.made.values[at] = place
        options = _Options(self, name, component, self.selections[component.name])
        if settings.values is not None:
            options.apply(entry.values, settings.values)
        if entry.folders is not None:
            self._buckets(entry.folders, options)
        options.apply(entry.options, settings.document)
        options.own(entry, settings)
        if self.cluster:
            self._realised(name, component, settings)

    def _realised(self, name: str, component: Component, settings: Settings) -> None:
        """How it is realised on a cluster; where that is by a chart, the values that it is given.

        They are those of the values file, with the section's own merged over them.
        """
        selection = self.selections[component.name]
        at = ("components", component.name)
        recipe = settings.config.recipe
        if recipe:
            selection["recipe"] = recipe
            moved(settings.document, ("recipe",), (*at, "recipe"), self.made.keys, self.made.values)
        if (recipe or "".join(component.cluster_recipes[:1])) != "chart":
            return
        found = settings.values
        if found is not None and not isinstance(found.data, dict | None):
            raise found.error(
                (), f"the values file of {name} must be a mapping (key: value), not {found.data!r}"
            )
        values = found if found is not None and found.data else None
        if settings.config.values:
            own = part(settings.document, ("values",))
            values = overlay(values, own) if values else own
        if values:
            selection["values"] = values.data
            moved(values, (), (*at, "values"), self.made.keys, self.made.values)

    def _buckets(self, rule: Rule, options: _Options) -> None:
        """Each folder of the data folder is a bucket of the lake."""
        if buckets := [path.name for path in self._examples()]:
            options.set(rule, buckets, self.document, ("project", "data_folder"))

    def _examples(self) -> list[Path]:
        """The folders of the data folder that can be buckets."""
        folder = self.layout.find_folder(self.project.data_folder) if self.project.data_folder else None
        found = sorted(path for path in folder.iterdir() if path.is_dir()) if folder else []
        return [path for path in found if BUCKET.match(path.name)]

    def _data(self) -> list[Data]:
        """What is in these folders goes into their buckets, where the flavour has a store."""
        if "seaweedfs" not in self.selections:
            return []
        return [Data.model_validate({"from": str(path), "to": path.name}) for path in self._examples()]


class _Options:
    """The options of one component, filled from Data-Mill's keys."""

    def __init__(
        self, translation: _Translation, name: str, component: Component, options: dict[str, Any]
    ) -> None:
        self.translation = translation
        self.name = name
        self.component = component
        self.options = options

    def apply(self, rules: Mapping[str, Rule], source: Document) -> None:
        """Set what the rules find in a document."""
        for key, rule in rules.items():
            path = tuple(key.split("."))
            value = _lookup(source.data, path)
            if value is None or (rule.when and not _lookup(source.data, tuple(rule.when.split(".")))):
                continue
            if rule.each is not None and isinstance(value, list):
                value = [item[rule.each] for item in value if isinstance(item, dict) and rule.each in item]
            self.set(rule, value, source, path)

    def own(self, entry: Entry, settings: Settings) -> None:
        """Take the component's own keys where Millpond's has an option of that name; tell of the others."""
        translated = [key.split(".") for key in (*entry.options, *entry.silent)]
        for key, value in settings.config.specific.items():
            if key in self.component.options and [key] not in translated:
                self.set(Rule(option=key), value, settings.document, (key,))
                continue
            for path in _leaves(value, (key,)):
                if not any(list(path[: len(known)]) == known for known in translated):
                    self._unknown(".".join(path), settings.document.key_place(path))

    def set(self, rule: Rule, value: Any, source: Document, path: documents.Path) -> None:
        """Set one option, checked where it was written."""
        option = self.component.options.get(rule.option)
        if option is None:
            self._unknown(_dotted(path), source.key_place(path))
            return
        if rule.add:
            before = self.options.get(rule.option, option.default or [])
            value = list(dict.fromkeys([*before, *(value if isinstance(value, list) else [value])]))
        try:
            self.options[rule.option] = option.check(_typed(value, option))
        except ValueError as error:
            raise DocumentError(
                source.place(path), f"{self.name}.{_dotted(path)} {error}", hint=option.help
            ) from None
        made = self.translation.made
        target = ("components", self.component.name, rule.option)
        made.keys[target], made.values[target] = source.key_place(path), source.place(path)
        moved(source, path, target, made.keys, made.values)

    def _unknown(self, key: str, place: Place) -> None:
        text = f"{self.name}.{key} is left out: {self.component.name} has no such option"
        self.translation.notes.append(Note("left out", f"{self.name}.{key}", text, place))


def _project(document: Document) -> Project:
    if document.data["project"] is None:
        return Project()
    return documents.parse(Project, document, at=("project",))


def _words(text: str, value: str, place: Place) -> list[tuple[str, Place]]:
    """The names in a list separated by commas or blanks; each has its own column while it is on one line."""
    line = (text.splitlines() or [""])[place.line - 1]
    start = line.find(value, place.column - 1)
    return [
        (
            match.group(),
            replace(place, column=start + match.start() + 1) if start >= 0 else place,
        )
        for match in re.finditer(r"[^\s,]+", value)
    ]


def _platform_name(namespace: str) -> str:
    """The namespace as a platform's name: a letter first, 40 characters at most."""
    name = re.sub(r"[^a-z0-9_-]+", "-", namespace.lower()).strip("-")[:40]
    return name if re.match(r"[a-z]", name) else f"p-{name}"[:40].rstrip("-")


def _typed(value: Any, option: Option) -> Any:
    """Data-Mill writes numbers in quotes and versions without; an option takes both."""
    if option.type in ("integer", "number") and isinstance(value, str):
        found = documents.scalar(value)
        return found if isinstance(found, int | float) else value
    if option.type == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _dotted(path: documents.Path) -> str:
    return ".".join(str(step) for step in path)


def _lookup(data: Any, path: documents.Path) -> Any:
    for step in path:
        if not isinstance(data, dict):
            return None
        data = data.get(step)
    return data


def _leaves(value: Any, at: tuple[str, ...]) -> list[tuple[str, ...]]:
    if not isinstance(value, dict) or not value:
        return [at]
    return [leaf for key, inner in value.items() for leaf in _leaves(inner, (*at, key))]
