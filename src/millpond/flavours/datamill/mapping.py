"""What Millpond has in the place of each component that Data-Mill knows; the data is ``mapping.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, RootModel, model_validator

from millpond.model import document
from millpond.model.component import Component
from millpond.model.interface import Name

FILE = Path(__file__).with_name("mapping.yaml")


class Names(Protocol):
    """What translating needs to know of a catalogue."""

    @property
    def names(self) -> list[str]:
        """The names of all components."""

    def component(self, name: str) -> Component | None:
        """The component of that name or alias."""


class Rule(BaseModel):
    """Where one key of Data-Mill's goes.

    Args:
        option: the option of Millpond's component.
        each: the value is a list of mappings, of which this key counts.
        add: the value is added to the option's list, whose default stays.
        when: another key that must be true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    option: Name
    each: str | None = None
    add: bool = False
    when: str | None = None


class Entry(BaseModel):
    """One component of Data-Mill; the keys are explained in ``mapping.yaml``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    component: Name | None = None
    cluster: str | None = None
    sections: list[str] = []
    companions: list[str] = []
    brings: list[str] = []
    silent: list[str] = []
    options: dict[str, Rule] = {}
    values: dict[str, Rule] = {}
    folders: Rule | None = None

    @model_validator(mode="after")
    def _one_fate(self) -> Entry:
        if (self.component is None) == (self.cluster is None):
            raise ValueError("an entry has either component or cluster")
        return self


class _Entries(RootModel[dict[str, Entry]]):
    pass


@cache
def entries() -> Mapping[str, Entry]:
    """All components of Data-Mill by the name of their folder."""
    return document.load(_Entries, FILE.read_text(encoding="utf-8"), str(FILE)).root


def entry(name: str) -> Entry:
    """The entry of that folder; a component of the user's own means Millpond's of the same name."""
    return entries().get(name) or Entry(component=name)


def folder_of(section: str, own: Mapping[str, str]) -> str | None:
    """The component that a configuration key means, or None.

    Args:
        section: ``jhub``, ``jupyterhub``, ``nginx_ingress``, ...
        own: the configuration keys of the user's own component folders, with the folder's name.
    """
    for name, known in entries().items():
        if section in (name, name.replace("-", "_"), *known.sections):
            return name
    return own.get(section)


def sections_of(name: str) -> list[str]:
    """The configuration keys under which a component may be configured, its folder's name first."""
    return list(dict.fromkeys([name, name.replace("-", "_"), *entry(name).sections]))


def companions() -> list[str]:
    """Configuration keys that belong to a component beside its own one."""
    return [key for known in entries().values() for key in known.companions]
