"""Values: expressions linked to a platform, still with both faces.

Linking follows ``${database.uri}`` through the binding to the provider's property, and on, until only
*atoms* remain: things that a target alone can tell, such as the port of an endpoint or a secret. A target
realises the atoms; who asks (a process here, a pod, the user's shell) is its business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from millpond.model.expression import SECRET_FILTERS, Expression


@dataclass(frozen=True)
class Secret:
    """A secret of a node; `grant` names the asker for whom it was made, if for one."""

    node: str
    name: str
    grant: str | None = None


@dataclass(frozen=True)
class Endpoint:
    """A part of a node's address: ``url``, ``host``, ``port`` or ``address`` (host:port)."""

    node: str
    port: str
    part: str

    def text(self, host: str, port: int, scheme: str = "http") -> str:
        """The part, where the node answers at this host and port."""
        parts = {
            "url": f"{scheme}://{host}:{port}",
            "host": host,
            "port": str(port),
            "address": f"{host}:{port}",
        }
        return parts[self.part]


@dataclass(frozen=True)
class Listen:
    """Where a node's own process binds: the address, or the number of one of its ports."""

    node: str
    port: str | None


@dataclass(frozen=True)
class Place:
    """A path that the target chooses: of a volume, a made file, an install, or the component's folder."""

    node: str
    kind: str
    name: str


@dataclass(frozen=True)
class Elsewhere:
    """A value that the user keeps in an environment variable or a file."""

    env: str | None
    file: str | None
    secret: bool


@dataclass(frozen=True)
class Fact:
    """Something that the target knows of itself, such as its run directory."""

    name: str


@dataclass(frozen=True)
class Filtered:
    """A value passed through a filter; of a secret's name or key the target alone knows the text."""

    filter: str
    value: Value


Atom = Secret | Endpoint | Listen | Place | Elsewhere | Fact | Filtered
Part = str | Atom


@dataclass(frozen=True)
class Value:
    """Literal text and atoms, in order."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def of(cls, text: str) -> Value:
        """A value that is already text."""
        return cls((text,) if text else ())

    def atoms(self) -> Iterator[Atom]:
        """Every atom in it, also inside filters."""
        for part in self.parts:
            if isinstance(part, Filtered):
                yield from part.value.atoms()
            elif not isinstance(part, str):
                yield part

    @property
    def secret(self) -> bool:
        """Whether anything secret is in it; where a cluster keeps a secret is not."""
        return any(
            part.value.secret
            if isinstance(part, Filtered)
            else isinstance(part, Secret) or (isinstance(part, Elsewhere) and part.secret)
            for part in self.parts
            if not (isinstance(part, Filtered) and part.filter in SECRET_FILTERS)
        )

    @property
    def empty(self) -> bool:
        """Whether it is no text at all, as the property of a requirement that is not met."""
        return not self.parts

    def realise(self, atom: Callable[[Atom], str]) -> str:
        """The text, with every atom turned into text by a target."""
        return "".join(self._text(part, atom) for part in self.parts)

    def _text(self, part: Part, atom: Callable[[Atom], str]) -> str:
        if isinstance(part, str):
            return part
        if isinstance(part, Filtered):
            if part.filter in SECRET_FILTERS:
                return atom(part)
            return FILTERS[part.filter](part.value.realise(atom))
        return atom(part)


def _majority(text: str) -> str:
    """More than half of a number of copies: one of one, two of three, three of five."""
    return str(int(text) // 2 + 1)


FILTERS: dict[str, Callable[[str], str]] = {
    "urlquote": lambda text: quote(text, safe=""),
    "number": lambda text: str(int(text)),
    "majority": _majority,
}


def link(expression: Expression, lookup: Callable[[tuple[str, ...]], Value]) -> Value:
    """Link every reference of an expression by a scope's `lookup`."""
    parts: list[Part] = []
    for part in expression.parts:
        if isinstance(part, str):
            parts.append(part)
            continue
        found = lookup(part.path)
        if part.filter and not found.empty:
            parts.append(Filtered(part.filter, found))
        else:
            parts.extend(found.parts)
    return Value(tuple(_joined(parts)))


def _joined(parts: list[Part]) -> list[Part]:
    """Neighbouring texts as one, so that equal values are equal however they were linked."""
    found: list[Part] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)
    return found
