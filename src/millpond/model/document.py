"""YAML files read with the place of every key, and checked against a pydantic model.

A mistake in a file that a person wrote is answered with file, line and column, and the nearest
word that would have been right. YAML is read as its 1.2 core schema reads it: ``on``, ``yes`` and
``12:30`` stay strings, a key that stands twice is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from millpond.model.errors import DocumentError, DocumentErrors, Place, did_you_mean

Path = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS: list[tuple[re.Pattern[str], Any]] = [
    (re.compile(r"(?:null|Null|NULL|~|)\Z"), lambda text: None),
    (re.compile(r"(?:true|True|TRUE)\Z"), lambda text: True),
    (re.compile(r"(?:false|False|FALSE)\Z"), lambda text: False),
    (re.compile(r"[-+]?[0-9]+\Z"), int),
    (re.compile(r"0o[0-7]+\Z"), lambda text: int(text, 8)),
    (re.compile(r"0x[0-9a-fA-F]+\Z"), lambda text: int(text, 16)),
    (re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), float),
    (re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z"), lambda text: float(text.replace(".", ""))),
    (re.compile(r"\.(?:nan|NaN|NAN)\Z"), lambda text: float("nan")),
]


@dataclass(frozen=True)
class Document:
    """A YAML document: its plain data, and where each key and value stands."""

    source: str
    data: Any
    keys: dict[Path, Place] = field(repr=False)
    values: dict[Path, Place] = field(repr=False)

    def place(self, path: Path) -> Place:
        """The place of the value at `path`, or of the nearest thing around it that is known."""
        while path:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.values.get((), Place(self.source, 1, 1))

    def key_place(self, path: Path) -> Place:
        """The place of the key at `path`, or of its value when it has none (a list's item)."""
        return self.keys.get(path) or self.place(path)

    def error(self, path: Path, message: str, *, hint: str | None = None) -> DocumentError:
        """An error that points at the value at `path`."""
        return DocumentError(self.place(path), message, hint=hint)


def read(text: str, source: str) -> Document:
    """Read one YAML document.

    Raises:
        DocumentError: the text is not YAML, a key stands twice, or a value has a custom tag.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
        raise DocumentError(place, f"not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise DocumentError(Place(source, 1, 1), f"not YAML: {error}") from None
    document = Document(source, None, {}, {})
    data = None if node is None else _build(node, (), document)
    return Document(source, data, document.keys, document.values)


def parse(model: type[Model], document: Document, *, data: Any = None, at: Path = ()) -> Model:
    """Check a document, or the part of it at `at`, against a pydantic model.

    Raises:
        DocumentError: one mistake; DocumentErrors: several, in the order of the file.
    """
    try:
        return model.model_validate(_part(document.data, at) if data is None else data)
    except ValidationError as error:
        found = [_mistake(document, model, at, item) for item in error.errors()]
        found.sort(key=lambda mistake: mistake.place)
        raise (found[0] if len(found) == 1 else DocumentErrors(found)) from None


def load(model: type[Model], text: str, source: str) -> Model:
    """Read and check in one go; see `read` and `parse` for what is raised."""
    return parse(model, read(text, source))


def _part(data: Any, at: Path) -> Any:
    for step in at:
        data = data[step]
    return data


def _build(node: yaml.Node, path: Path, document: Document) -> Any:
    place = _place(node, document.source)
    document.values[path] = place
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_build(child, (*path, index), document) for index, child in enumerate(node.value)]
    if not node.tag.startswith("tag:yaml.org,2002:"):
        raise DocumentError(place, f"the tag {node.tag} is not known", hint="write the value without a tag")
    if isinstance(node, yaml.ScalarNode) and node.style is None and node.tag != "tag:yaml.org,2002:str":
        return _scalar(node.value)
    return node.value


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, child in node.value:
        place = _place(key, document.source)
        if not isinstance(key, yaml.ScalarNode):
            raise DocumentError(place, "a key must be a plain word")
        name = str(key.value)
        if name == "<<":
            raise DocumentError(place, "merge keys (<<) are not read", hint="write the keys out")
        if name in found:
            first = document.keys[(*path, name)]
            raise DocumentError(place, f"{name} stands twice, first in line {first.line}")
        document.keys[(*path, name)] = place
        found[name] = _build(child, (*path, name), document)
    return found


def _scalar(text: str) -> Any:
    for pattern, convert in _SCALARS:
        if pattern.match(text):
            return convert(text)
    return text


def _place(node: yaml.Node, source: str) -> Place:
    return Place(source, node.start_mark.line + 1, node.start_mark.column + 1)


def _mistake(document: Document, model: type[BaseModel], at: Path, item: Any) -> DocumentError:
    """Turn one of pydantic's errors into a sentence at a place."""
    path: Path = at + tuple(step for step in item["loc"])
    known = _known_path(document, path)
    kind = item["type"]
    if kind == "extra_forbidden":
        word = str(path[-1])
        allowed = _fields(model, item["loc"][:-1])
        return DocumentError(document.key_place(path), f"unknown key {word}", hint=did_you_mean(word, allowed))
    where = ".".join(str(step) for step in known)
    if kind == "missing":
        parent = ".".join(str(step) for step in path[:-1])
        return DocumentError(
            document.place(path[:-1]), f"{path[-1]} is missing" + (f" in {parent}" if parent else "")
        )
    if kind == "value_error":
        reason = str(item["ctx"]["error"])
        return DocumentError(document.place(known), f"{where}: {reason}" if where else reason)
    got = item.get("input")
    shown = f", not {got!r}" if isinstance(got, str | int | float | bool) else ""
    reason = item["msg"][:1].lower() + item["msg"][1:]
    hint = None
    if kind == "literal_error" and isinstance(got, str):
        hint = did_you_mean(got, re.findall(r"'([^']*)'", item["ctx"]["expected"]))
    return DocumentError(document.place(known), f"{where}: {reason}{shown}" if where else reason, hint=hint)


def _known_path(document: Document, path: Path) -> Path:
    """`path` without the names of union branches, which pydantic puts between the keys."""
    found: Path = ()
    for step in path:
        if (*found, step) in document.values:
            found = (*found, step)
    return found


def _fields(model: Any, loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model allows at `loc`, walking through lists, dicts and unions."""
    models = [model]
    for step in loc:
        models = [after for before in models for after in _step(before, step)]
    names: list[str] = []
    for found in models:
        if isinstance(found, type) and issubclass(found, BaseModel):
            names += [info.alias or name for name, info in found.model_fields.items()]
    return names


def _step(annotation: Any, step: str | int) -> Iterator[Any]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            if step in (name, info.alias):
                yield from _members(info.annotation)
        if annotation.__name__ == step:
            yield annotation
    elif get_origin(annotation) is dict:
        yield from _members(get_args(annotation)[1])
    elif get_origin(annotation) in (list, tuple):
        yield from _members(get_args(annotation)[0])


def _members(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Union or str(origin) == "<class 'types.UnionType'>":
        for member in get_args(annotation):
            yield from _members(member)
    elif hasattr(annotation, "__metadata__"):
        yield from _members(get_args(annotation)[0])
    else:
        yield annotation
