"""Wiring: from a flavour and the catalogue to a platform in which every requirement is met."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Protocol

from millpond.model.component import Component
from millpond.model.document import Document, Path
from millpond.model.errors import DocumentError, MillpondError, did_you_mean
from millpond.model.flavour import Flavour, FromElsewhere, Selection
from millpond.model.interface import Interface
from millpond.model.platform import USER, Binding, External, Node, Platform


class Catalogue(Protocol):
    """What resolving needs to know of a catalogue."""

    @property
    def interfaces(self) -> Mapping[str, Interface]:
        """All interfaces by name."""

    @property
    def names(self) -> list[str]:
        """The names of all components."""

    def component(self, name: str) -> Component | None:
        """The component of that name or alias."""


class WiringError(MillpondError):
    """The components of a flavour cannot be wired to a platform."""

    exit_code = 3


def resolve(flavour: Flavour, catalogue: Catalogue, document: Document | None = None) -> Platform:
    """Resolve a flavour.

    Args:
        flavour: the flavour as its user wrote it.
        catalogue: where components and interfaces are found.
        document: the flavour's file, so that mistakes are answered with their place.

    Raises:
        DocumentError: a component, option or provider is unknown, or an option's value does not fit.
        WiringError: nobody or too many provide an interface, or components wait for each other.
    """
    return _Resolver(flavour, catalogue, document).platform()


class _Resolver:
    def __init__(self, flavour: Flavour, catalogue: Catalogue, document: Document | None) -> None:
        self.flavour = flavour
        self.catalogue = catalogue
        self.document = document or Document(flavour.name, {}, {}, {})
        self.chosen: dict[str, tuple[Component, Selection, str]] = {}
        self.notes: list[str] = []
        listed = self._data().get("components")
        # In a plain list of names a component's place is that of its item.
        self.items = {name: index for index, name in enumerate(listed)} if isinstance(listed, list) else {}

    def _data(self) -> dict[str, Any]:
        return self.document.data if isinstance(self.document.data, dict) else {}

    def _at(self, name: str, *path: str) -> Path:
        """Where the flavour's file speaks of a component."""
        return ("components", self.items.get(name, name), *path)

    def platform(self) -> Platform:
        self._check_external()
        for name, selection in self.flavour.components.items():
            self.chosen[name] = (self._component(name, selection), selection, "the flavour names it")
        self._add_defaults()
        nodes = {name: self._node(name) for name in self.chosen}
        _refuse_cycles(nodes)
        return Platform(
            name=self.flavour.name,
            target=self.flavour.target,
            nodes=nodes,
            external={
                name: External(name, self._external_properties(name)) for name in self.flavour.external
            },
            interfaces=self.catalogue.interfaces,
            user=self._user_bindings(),
            notes=tuple(self.notes),
            cluster=self.flavour.kubernetes,
            policies=self.flavour.policies,
        )

    def _component(self, name: str, selection: Selection) -> Component:
        wanted = selection.component or name
        found = self.catalogue.component(wanted)
        if found is None:
            path = self._at(name, "component") if selection.component else self._at(name)
            place = self.document.place(path) if selection.component else self.document.key_place(path)
            raise DocumentError(
                place, f"no component is called {wanted}", hint=did_you_mean(wanted, self.catalogue.names)
            )
        return found

    def _check_external(self) -> None:
        for name, properties in self.flavour.external.items():
            interface = self.catalogue.interfaces.get(name)
            if interface is None:
                raise DocumentError(
                    self.document.key_place(("external", name)),
                    f"no interface is called {name}",
                    hint=did_you_mean(name, self.catalogue.interfaces),
                )
            for key, value in properties.items():
                if key not in interface.properties:
                    raise DocumentError(
                        self.document.key_place(("external", name, key)),
                        f"{name} has no property {key}",
                        hint=did_you_mean(key, interface.properties),
                    )
                if interface.properties[key].secret and not isinstance(value, FromElsewhere):
                    raise DocumentError(
                        self.document.place(("external", name, key)),
                        f"{key} is a secret and does not belong into a file",
                        hint=f"write {key}: {{env: NAME}} or {key}: {{file: PATH}}",
                    )
            for key, wanted in interface.properties.items():
                if wanted.required and wanted.default is None and key not in properties:
                    if key in interface.request:
                        continue
                    raise DocumentError(
                        self.document.key_place(("external", name)),
                        f"external {name} lacks {key}: {wanted.help}",
                    )

    def _external_properties(self, name: str) -> dict[str, str | int | FromElsewhere]:
        return dict(self.flavour.external[name])

    def _add_defaults(self) -> None:
        """Let the default provider join for each interface that nobody of the flavour provides."""
        waiting = list(self.chosen)
        while waiting:
            name = waiting.pop(0)
            for requirement, wanted in self.chosen[name][0].requires.items():
                if wanted.optional or wanted.interface in self.flavour.external:
                    continue
                if any(found[0] != name for found in self._providers(wanted.interface)):
                    continue
                reason = f"{name} needs {wanted.interface} ({requirement})"
                component = self._default(wanted.interface)
                if component is None:
                    raise WiringError(
                        f"{reason}, and nothing here provides it",
                        hint="add a component that does, or name a service of your own: "
                        f"external: {{{wanted.interface}: …}}",
                    )
                if component.name in self.chosen:
                    raise WiringError(
                        f"{reason}, and {component.name} would join to provide it, but something else "
                        "has that name here",
                        hint=f"call it something else: NAME: {{component: {component.name}}}",
                    )
                self.chosen[component.name] = (component, Selection(), reason)
                self.notes.append(f"{component.name} joins: {reason}")
                waiting.append(component.name)

    def _default(self, interface: str) -> Component | None:
        """The default provider, when the catalogue has it and it does provide the interface."""
        default = self.catalogue.interfaces[interface].default_provider
        found = self.catalogue.component(default) if default else None
        if found is None or all(provided.interface != interface for provided in found.provides.values()):
            return None
        return found

    def _providers(self, interface: str) -> list[tuple[str, str]]:
        return [
            (name, provision)
            for name, (component, _, _) in self.chosen.items()
            for provision, provided in component.provides.items()
            if provided.interface == interface
        ]

    def _node(self, name: str) -> Node:
        component, selection, because = self.chosen[name]
        for requirement in selection.uses:
            if requirement not in component.requires:
                raise DocumentError(
                    self.document.key_place(self._at(name, "uses", requirement)),
                    f"{name} has no requirement {requirement}",
                    hint=did_you_mean(requirement, component.requires)
                    or f"{component.name} requires nothing",
                )
        bindings = {}
        for requirement, wanted in component.requires.items():
            provider = self._provider(name, requirement, selection)
            if provider is None:
                continue
            request = {**wanted.request}
            bindings[requirement] = Binding(
                requirement, wanted.interface, provider[0], provider[1], request, wanted.wait
            )
        for port in selection.ports:
            if port not in component.service.ports:
                raise DocumentError(
                    self.document.key_place(self._at(name, "ports", port)),
                    f"{component.name} has no port {port}",
                    hint=did_you_mean(port, component.service.ports),
                )
        return Node(
            name,
            component,
            self._options(name, component, selection),
            bindings,
            binaries=selection.binaries,
            ports=selection.ports,
            because=because,
            recipe=self._recipe(name, component, selection),
            image=selection.image,
            wanted=selection.resources,
            values=selection.values,
        )

    def _recipe(self, name: str, component: Component, selection: Selection) -> str:
        """The recipe that the target takes: the first, and on one machine a service only."""
        if self.flavour.target == "local":
            if "service" in component.recipes:
                return "service"
            raise DocumentError(
                self.document.key_place(self._at(name)),
                f"{component.name} runs on a cluster only, it has no recipe for one machine",
                hint="set target: kubernetes, or leave it out",
            )
        recipes = component.cluster_recipes
        if not recipes:
            raise DocumentError(
                self.document.key_place(self._at(name)),
                f"{component.name} runs on one machine only, it has no recipe for a cluster",
                hint="set target: local, or leave it out",
            )
        recipe = selection.recipe or recipes[0]
        if recipe not in recipes:
            raise DocumentError(
                self.document.place(self._at(name, "recipe")),
                f"{component.name} has no {recipe} recipe",
                hint=f"it has {' and '.join(recipes)}",
            )
        self._suits(name, component, selection, recipe)
        return recipe

    def _suits(self, name: str, component: Component, selection: Selection, recipe: str) -> None:
        """Refuse what the recipe would take no notice of."""
        if recipe == "chart":
            resources = selection.resources.model_fields_set - {"gpu"} if selection.resources else set()
            unused = {("image",): bool(selection.image)} | {("resources", key): True for key in resources}
            hint = f"write what the chart wants under {name}: values"
        else:
            unused = {("values",): bool(selection.values)}
            hint = f"set recipe: chart under {name}" if component.chart else "leave it out"
        for key in sorted(key for key, given in unused.items() if given):
            raise DocumentError(
                self.document.key_place(self._at(name, *key)),
                f"{name} is realised by its {recipe}, which takes no {' '.join(reversed(key))}",
                hint=hint,
            )

    def _provider(self, name: str, requirement: str, selection: Selection) -> tuple[str, str] | None:
        wanted = self.chosen[name][0].requires[requirement]
        candidates = [found for found in self._providers(wanted.interface) if found[0] != name]
        external = wanted.interface in self.flavour.external
        named = selection.uses.get(requirement)
        if named == "external" and external:
            return ("", "")
        if named is not None:
            for found in candidates:
                if found[0] == named:
                    return found
            choices = [found[0] for found in candidates] + (["external"] if external else [])
            raise DocumentError(
                self.document.place(self._at(name, "uses", requirement)),
                f"{named} does not provide {wanted.interface} in this flavour",
                hint=did_you_mean(named, choices),
            )
        if external:
            return ("", "")
        if len(candidates) > 1:
            names = ", ".join(found[0] for found in candidates)
            raise DocumentError(
                self.document.key_place(self._at(name)),
                f"{name} needs {wanted.interface} ({requirement}), and several provide it: {names}",
                hint=f"choose one: uses: {{{requirement}: {candidates[0][0]}}}",
            )
        return candidates[0] if candidates else None

    def _options(self, name: str, component: Component, selection: Selection) -> dict[str, Any]:
        values = {key: option.default for key, option in component.options.items()}
        for key, value in selection.options.items():
            path = self._at(name, key)
            option = component.options.get(key)
            if option is None:
                raise DocumentError(
                    self.document.key_place(path),
                    f"{component.name} has no option {key}",
                    hint=did_you_mean(key, component.options) or f"{component.name} has no options",
                )
            try:
                values[key] = option.check(value)
            except ValueError as error:
                raise DocumentError(self.document.place(path), f"{key} {error}", hint=option.help) from None
        for key, option in component.options.items():
            if option.required and values[key] is None:
                raise DocumentError(
                    self.document.key_place(self._at(name)),
                    f"{name} lacks the option {key}",
                    hint=option.help,
                )
        return values

    def _user_bindings(self) -> dict[str, Binding]:
        """What user code finds in its environment: one binding for each interface that is there."""
        bindings = {}
        for interface in self.catalogue.interfaces.values():
            if not interface.env:
                continue
            providers = self._providers(interface.name)
            if interface.name in self.flavour.external:
                provider = ("", "")
            elif providers:
                provider = providers[0]
            else:
                continue
            bindings[interface.name] = Binding(
                interface.name, interface.name, provider[0], provider[1], {}, wait=False
            )
        return bindings


def _refuse_cycles(nodes: Mapping[str, Node]) -> None:
    try:
        TopologicalSorter({name: node.waits_for for name, node in nodes.items()}).prepare()
    except CycleError as error:
        # graphlib lists each node before the one that waits for it; the sentence reads the other way.
        ring = " waits for ".join(reversed(error.args[1]))
        raise WiringError(
            f"components wait for each other: {ring}", hint="set wait: false on one of the requirements"
        ) from None


__all__ = ["USER", "Catalogue", "WiringError", "resolve"]
