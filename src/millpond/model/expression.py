"""Text with ``${…}`` in it: parsed when its file is read, given a value only when somebody asks.

A value keeps two faces until the last moment. A process gets the text; a Kubernetes manifest gets a
reference (a service's DNS name, a ``secretKeyRef``). So an expression is never flattened here: it is
linked to the platform (`millpond.model.value`) and realised by a target.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

FILTERS = ("urlquote", "number", "majority", "secret_name", "secret_key")
SECRET_FILTERS = ("secret_name", "secret_key")
"""They turn a secret into where a cluster keeps it, which is nothing secret."""

_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_PATH = re.compile(r"[A-Za-z_][\w.-]*")


class ExpressionError(ValueError):
    """The text is not a well-formed expression; the message says why."""


@dataclass(frozen=True)
class Reference:
    """One ``${path}`` or ``${path|filter}``."""

    path: tuple[str, ...]
    filter: str | None = None

    def __str__(self) -> str:
        return "${" + ".".join(self.path) + (f"|{self.filter}" if self.filter else "") + "}"


@dataclass(frozen=True)
class Expression:
    """Literal text and references, in order."""

    parts: tuple[str | Reference, ...]

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))

    def __str__(self) -> str:
        return "".join(p.replace("${", "$${") if isinstance(p, str) else str(p) for p in self.parts)


@cache
def parse(text: str) -> Expression:
    """Parse a text; ``$${`` stands for a literal ``${``.

    >>> parse("s3://${artifacts.bucket}/a").references[0].path
    ('artifacts', 'bucket')

    Raises:
        ExpressionError: a brace is not closed, a path is empty, a filter is unknown.
    """
    parts: list[str | Reference] = []
    end = 0
    for token in _TOKEN.finditer(text):
        parts.append(text[end : token.start()])
        end = token.end()
        if token.group(0) == "$${":
            parts.append("${")
        elif token.group(1) is None:
            raise ExpressionError(f"${{ is not closed in {text!r}")
        else:
            parts.append(_reference(token.group(1)))
    parts.append(text[end:])
    return Expression(tuple(_joined(parts)))


def _reference(text: str) -> Reference:
    path, bar, name = (piece.strip() for piece in text.partition("|"))
    if not _PATH.fullmatch(path) or ".." in path or path.endswith("."):
        raise ExpressionError(f"${{{text}}} is not a reference; write ${{name.property}}")
    if bar and name not in FILTERS:
        raise ExpressionError(f"{name} is not a filter; known are {', '.join(FILTERS)}")
    return Reference(tuple(path.split(".")), name or None)


def _joined(parts: list[str | Reference]) -> list[str | Reference]:
    found: list[str | Reference] = []
    for part in parts:
        if isinstance(part, str) and found and isinstance(found[-1], str):
            found[-1] += part
        elif part != "":
            found.append(part)
    return found
