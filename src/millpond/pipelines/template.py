"""The expressions of a pipeline file: which names they may use, and their values in a run."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

from millpond.model.expression import Expression, Reference, parse

DATE_PARTS = ("year", "month", "day")


def render(value: Any, resolve: Callable[[Reference], Any], quote: Callable[[str], str] = str) -> Any:
    """The value with every expression in it replaced; a text that is one expression keeps its type.

    Args:
        value: text, or lists and mappings with text in them.
        resolve: the value of a reference.
        quote: applied to values that stand inside other text.
    """
    if isinstance(value, str):
        return _text(parse(value), resolve, quote)
    if isinstance(value, list):
        return [render(item, resolve, quote) for item in value]
    if isinstance(value, Mapping):
        return {key: render(item, resolve, quote) for key, item in value.items()}
    return value


def _text(expression: Expression, resolve: Callable[[Reference], Any], quote: Callable[[str], str]) -> Any:
    parts = expression.parts
    if len(parts) == 1 and isinstance(parts[0], Reference):
        return resolve(parts[0])
    return "".join(part if isinstance(part, str) else quote(as_text(resolve(part))) for part in parts)


def as_text(value: Any) -> str:
    """A value as it stands in a path or a command."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def of_run(
    parameters: Mapping[str, Any], run: str, each: Mapping[str, Any] | None = None
) -> Callable[[Reference], Any]:
    """A resolver of ``${parameters.x}``, ``${parameters.date.year}``, ``${run.id}``, ``${each.x}``."""

    def resolve(reference: Reference) -> Any:
        root, *rest = reference.path
        if root == "run":
            return run
        if root == "each" and each is not None:
            return each[rest[0]]
        if root != "parameters":
            return str(reference)
        value = parameters[rest[0]]
        if len(rest) == 1:
            return value
        assert isinstance(value, datetime.date)
        return {"year": f"{value:%Y}", "month": f"{value:%m}", "day": f"{value:%d}"}[rest[1]]

    return resolve
