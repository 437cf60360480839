"""Tables and words of Markdown, and how a type of a pydantic model is called in a page."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_PLAIN = {str: "text", int: "integer", float: "number", bool: "boolean", Any: "any value", types.NoneType: ""}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped, a line end becomes a blank."""
    lines = [heads, ["---"] * len(heads), *rows]
    cells = (" | ".join(cell.replace("|", "\\|").replace("\n", " ").strip() for cell in row) for row in lines)
    # The rule between head and rows must not be escaped; it has no bars of its own.
    return "\n".join(f"| {row} |" for row in cells)


def code(text: object) -> str:
    """A word as code."""
    return f"`{text}`"


def value(found: Any) -> str:
    """A default as YAML would have it, in code."""
    if isinstance(found, bool):
        return code(str(found).lower())
    if isinstance(found, list | tuple):
        return code(f"[{', '.join(map(str, found))}]")
    return code(f"{found:g}" if isinstance(found, float) else found)


def anchor(title: str) -> str:
    """The anchor that forges give a heading."""
    kept = "".join(char for char in title.lower() if char.isalnum() or char in " -_")
    return kept.replace(" ", "-")


def kind(annotation: Any, titles: dict[type[BaseModel], str]) -> str:
    """What a reader calls a type; models become links to their headings on the page."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return "duration" if _is_duration(arguments[1:]) else kind(arguments[0], titles)
    if origin is Literal:
        return " or ".join(code(argument) for argument in arguments)
    if origin in (Union, types.UnionType):
        names = [kind(argument, titles) for argument in arguments]
        return " or ".join(dict.fromkeys(name for name in names if name))
    if origin is list:
        return f"list of {kind(arguments[0], titles)}"
    if origin is dict:
        return f"mapping of names to {kind(arguments[1], titles)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        title = titles.get(annotation)
        return f"[{_short(title)}](#{anchor(title)})" if title else "mapping"
    return _PLAIN.get(annotation, str(annotation))


def _is_duration(metadata: Iterable[Any]) -> bool:
    """Whether the pipeline file's reader of durations is behind a number."""
    return any(getattr(getattr(found, "func", None), "__name__", "") == "seconds" for found in metadata)


def _short(title: str) -> str:
    """A heading as a word in a sentence."""
    first, _, rest = title.partition(" ")
    return rest if first in ("A", "An", "The") else title.lower()


def filled(text: str) -> str:
    """The page with its paragraphs filled anew; tables, lists, headings and code stay as they are."""
    found: list[str] = []
    paragraph: list[str] = []
    in_code = False
    for line in [*text.split("\n"), ""]:
        fence = line.startswith("```")
        if not in_code and not fence and line and line[0] not in "|#-<":
            paragraph.append(line)
            continue
        if paragraph:
            found += textwrap.wrap(" ".join(paragraph), 110, break_long_words=False, break_on_hyphens=False)
            paragraph = []
        found.append(line)
        in_code ^= fence
    return "\n".join(found)


def bounds(field: FieldInfo) -> str:
    """A number's bounds in words."""
    found = []
    for constraint in field.metadata:
        for name, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
            limit = getattr(constraint, name, None)
            if limit is not None:
                found.append(f"{words} {limit:g}")
    return ", ".join(found)


def default(field: FieldInfo) -> str:
    """A field's default: a value, empty for nothing, or the word required."""
    if field.is_required():
        return "required"
    found = field.get_default(call_default_factory=True)
    if found is None or isinstance(found, BaseModel) or found in ("", [], {}):
        return ""
    return value(found)


def keys(model: type[BaseModel], titles: dict[type[BaseModel], str]) -> str:
    """A model's keys as a table.

    Raises:
        ValueError: a key has no description.
    """
    rows = []
    for name, field in model.model_fields.items():
        text = field.description
        if not text:
            raise ValueError(f"{model.__name__}.{name} has no description")
        limits = bounds(field)
        named = "duration" if _is_duration(field.metadata) else kind(field.annotation, titles)
        rows.append(
            (
                code(field.alias or name),
                named + (f" ({limits})" if limits else ""),
                default(field),
                text,
            )
        )
    return table(("key", "type", "default", "meaning"), rows)
