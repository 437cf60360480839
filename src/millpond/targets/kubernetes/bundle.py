"""Bundles: what a platform comes down to on a cluster. Pure data, nothing secret in it, the same every time.

A bundle is rendered without asking a cluster anything; the engine applies it, `render` writes it to files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from millpond.model.component import Chart
from millpond.model.value import Value

Object = dict[str, Any]
"""One object of the Kubernetes API, as its YAML says it."""

PLATFORM = "platform"
"""The unit that holds what belongs to no component: namespace, default-deny policy, shipped policies."""

MANAGER = "millpond"
"""The field manager of every apply."""

PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
COMPONENT = "millpond.dev/component"
"""Labels on every object: the platform's name, ``millpond``, and the unit's name."""


@dataclass(frozen=True)
class SecretObject:
    """A Secret that is made once in the cluster and never rendered.

    Args:
        name: the Secret's name in the platform's namespace.
        texts: what each key holds. A lone secret atom is made when it is first needed and then kept; texts
            composed of several parts are put together from those.
        unit: the unit that it belongs to.
        lengths: letters and digits in each key that is made.
    """

    name: str
    texts: Mapping[str, Value]
    unit: str
    lengths: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """A chart that Helm installs for a unit.

    Args:
        name: the release's name.
        namespace: where it is installed.
        chart: the catalogue's recipe.
        values: the values, templates filled, the user's own merged over them; no secret in them.
        objects: what is applied once the release is ready and serves its kinds.
        platform: the platform's name; the release says whose it is.
    """

    name: str
    namespace: str
    chart: Chart
    values: Mapping[str, Any]
    objects: tuple[Object, ...] = ()
    platform: str = ""


@dataclass(frozen=True)
class Unit:
    """One component, or `PLATFORM`.

    Args:
        name: the node's name.
        objects: in the order in which they are applied.
        then: Jobs for its askers, applied when `objects` are ready; the unit is ready once they succeed.
        waits_for: the units that must be ready before this one is applied.
        release: its chart, if its recipe is one; it comes between the objects and `then`.
    """

    name: str
    objects: tuple[Object, ...] = ()
    then: tuple[Object, ...] = ()
    waits_for: tuple[str, ...] = ()
    release: Release | None = None

    def __iter__(self) -> Iterator[Object]:
        """Every object of it, those of the release included."""
        yield from self.objects
        if self.release:
            yield from self.release.objects
        yield from self.then


@dataclass(frozen=True)
class Bundle:
    """A whole platform, its units in an order in which each comes after those that it waits for."""

    platform: str
    namespace: str
    units: Mapping[str, Unit]
    secrets: tuple[SecretObject, ...] = ()
    notes: tuple[str, ...] = field(default=())

    def __iter__(self) -> Iterator[Object]:
        """Every object, in the order of the units."""
        for unit in self.units.values():
            yield from unit

    @property
    def first_pod(self) -> Object | None:
        """The pod of the first workload that stays; others may borrow its image, ours have a Python."""
        for found in self:
            spec: Object | None = found.get("spec", {}).get("template", {}).get("spec")
            if spec and found["kind"] != "Job":
                return spec
        return None
