"""Plans: the difference between a platform and what runs. Nothing secret is ever in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from millpond.model.platform import Platform


class Act(StrEnum):
    """What `up` would do to a component."""

    START = "start"
    RESTART = "restart"
    STOP = "stop"
    KEEP = "keep"


@dataclass(frozen=True)
class Facts:
    """What is known of a component, as wished or as it runs.

    Args:
        digest: a hash of all its resolved inputs; equal digests need no restart.
        inputs: the inputs by name as a person may read them, secrets only by name.
    """

    digest: str
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """One component of a plan."""

    component: str
    act: Act
    reasons: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The change as ``--json`` prints it."""
        return {"component": self.component, "act": str(self.act), "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Plan:
    """The changes in the order of the graph; components that left come last, in reverse order."""

    platform: str
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do; a component that is kept may still have something to make."""
        return all(change.act is Act.KEEP and not change.reasons for change in self.changes)

    def act(self, component: str) -> Act | None:
        """What would be done to one component."""
        return next((change.act for change in self.changes if change.component == component), None)

    def limited(self, names: Iterable[str], waits_for: Callable[[str], Iterable[str]]) -> Plan:
        """The plan of these components and of what they wait for.

        Args:
            names: the components.
            waits_for: tells what must be ready before a component.
        """
        wanted = set(names)
        queue = list(wanted)
        while queue:
            more = set(waits_for(queue.pop())) - wanted
            wanted |= more
            queue += more
        changes = tuple(change for change in self.changes if change.component in wanted)
        return Plan(self.platform, changes, self.notes)

    def as_dict(self) -> dict[str, Any]:
        """The plan as ``--json`` prints it."""
        return {
            "platform": self.platform,
            "changes": [change.as_dict() for change in self.changes],
            "notes": list(self.notes),
        }


def compare(
    platform: Platform,
    wished: Mapping[str, Facts],
    known: Mapping[str, Facts],
    running: frozenset[str],
) -> Plan:
    """The plan that turns what runs into the platform.

    Args:
        platform: what is wished.
        wished: the facts of each of its nodes.
        known: the facts of what was last applied.
        running: the nodes of which every process is up.
    """
    changes = [_change(platform, name, wished[name], known.get(name), running) for name in platform.order]
    gone = [name for name in reversed(list(known)) if name not in platform.nodes]
    changes += [Change(name, Act.STOP, ("left the flavour; its data is kept",)) for name in gone]
    return Plan(platform.name, tuple(changes), platform.notes)


def _change(
    platform: Platform, name: str, wished: Facts, known: Facts | None, running: frozenset[str]
) -> Change:
    because = platform.nodes[name].because
    if known is None:
        return Change(
            name, Act.START, ("new",) if because == "the flavour names it" else (f"new: {because}",)
        )
    if name not in running:
        return Change(name, Act.START, ("not running",))
    if wished.digest == known.digest:
        return Change(name, Act.KEEP)
    return Change(
        name, Act.RESTART, tuple(_differences(known.inputs, wished.inputs)) or ("its inputs changed",)
    )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    found = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if old is None:
            found.append(f"{key} {new} (new)")
        elif new is None:
            found.append(f"{key} {old} is gone")
        else:
            found.append(f"{key} {old} → {new}")
    return found
