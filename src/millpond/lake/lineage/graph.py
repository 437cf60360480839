"""The graph of causes: what was made, and of what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["prediction", "deployment", "model", "step", "data", "commit"]
Direction = Literal["causes", "effects"]


@dataclass
class Node:
    """One thing. Its id is what one writes to ask for it; `facts` are what is known of it."""

    id: str
    kind: Kind
    facts: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"id": self.id, "kind": self.kind, **self.facts}


class Graph:
    """Things, and for each what it was made of."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.causes: dict[str, list[str]] = {}
        self.effects: dict[str, list[str]] = {}

    def add(self, id: str, kind: Kind, **facts: Any) -> Node:  # noqa: A002 - the field's name
        """A thing; facts of one that is known are added to."""
        node = self.nodes.setdefault(id, Node(id, kind))
        node.facts.update({name: value for name, value in facts.items() if value not in (None, "", {}, [])})
        return node

    def made(self, effect: str, cause: str) -> None:
        """Say that one thing was made by or of another."""
        if effect != cause and cause not in self.causes.setdefault(effect, []):
            self.causes[effect].append(cause)
            self.effects.setdefault(cause, []).append(effect)

    def walk(self, starts: list[str], direction: Direction) -> Iterator[tuple[Node, int, bool]]:
        """Things from some on, each below what led to it: the thing, how deep, and whether it came before.

        One that came before is told and not gone on from.
        """
        edges = self.causes if direction == "causes" else self.effects
        met: set[str] = set()
        waiting = [(start, 0) for start in reversed(starts)]
        while waiting:
            name, depth = waiting.pop()
            again = name in met
            met.add(name)
            yield self.nodes[name], depth, again
            if not again:
                waiting += [(other, depth + 1) for other in reversed(edges.get(name, []))]

    def reached(self, starts: list[str], direction: Direction) -> list[Node]:
        """All of `walk`, each once."""
        return [node for node, _, again in self.walk(starts, direction) if not again]
