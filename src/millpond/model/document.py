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

_PLAIN = "plain"
_CORE = "tag:yaml.org,2002:"
_MAX_VALUES = 100_000
_MAX_DEPTH = 100
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc] # the C loader's class has no types
    """Tells scalars without quotes and tag apart from others, and leaves their meaning to `scalar`."""

    yaml_implicit_resolvers = {None: [(_PLAIN, re.compile(""))]}


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


_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "none_required": "empty",
}


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
        _refuse_depth(text, source)
        node = yaml.compose(text, Loader=_Loader)
        builder = _Builder(source)
        data = None if node is None else builder.build(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark and error.context_mark and mark.line >= len(text.splitlines()):
            # Something is open at the end of the file; where it was opened says more.
            mark = error.context_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source, 1, 1)
        line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
        tab = "\t" in line[: len(line) - len(line.lstrip())]
        hint = "indent with spaces: YAML takes no tabs" if tab else None
        raise DocumentError(place, f"not YAML: {error.problem or error.context}", hint=hint) from None
    except yaml.YAMLError as error:
        raise DocumentError(Place(source, 1, 1), f"not YAML: {error}") from None
    return Document(source, data, builder.keys, builder.values)


def parse(model: type[Model], document: Document, *, data: Any = None, at: Path = ()) -> Model:
    """Check a document, or the part of it at `at`, against a pydantic model.

    Raises:
        DocumentError: one mistake; DocumentErrors: several, in the order of the file.
    """
    try:
        return model.model_validate(_part(document.data, at) if data is None else data)
    except ValidationError as error:
        found = _mistakes(document, model, at, error)
        found.sort(key=lambda mistake: mistake.place)
        raise (found[0] if len(found) == 1 else DocumentErrors(found)) from None


def load(model: type[Model], text: str, source: str) -> Model:
    """Read and check in one go; see `read` and `parse` for what is raised."""
    return parse(model, read(text, source))


def _part(data: Any, at: Path) -> Any:
    for step in at:
        data = data[step]
    return data


def _refuse_depth(text: str, source: str) -> None:
    """Refuse what is nested so deeply that the C loader would overflow the stack.

    Reading the events costs half as much as reading the document, so it is left out where the text has too
    few brackets, dashes and blanks for such a depth.
    """
    if sum(map(text.count, ("[", "{", "-", "?"))) <= _MAX_DEPTH and " " * _MAX_DEPTH not in text:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise DocumentError(_place(event, source), f"values are nested more than {_MAX_DEPTH} deep")


class _Builder:
    """Turns YAML's nodes into plain data, and notes the place of each."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self._around: list[yaml.Node] = []

    def build(self, node: yaml.Node, path: Path) -> Any:
        place = _place(node, self.source)
        if len(self.values) >= _MAX_VALUES:
            raise DocumentError(place, f"its aliases stand for more than {_MAX_VALUES} values")
        if any(node is other for other in self._around):
            raise DocumentError(place, "an alias stands inside of what it names")
        self.values[path] = place
        kind = node.tag.removeprefix(_CORE)
        if kind not in _TAGS[type(node)]:
            raise DocumentError(
                place, f"the tag {node.tag} is not known", hint="write the value without a tag"
            )
        if isinstance(node, yaml.ScalarNode):
            return node.value if kind in ("str", "!") else scalar(node.value)
        self._around.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        finally:
            self._around.pop()

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, child in node.value:
            place = _place(key, self.source)
            if not isinstance(key, yaml.ScalarNode):
                raise DocumentError(place, "a key must be a plain word")
            name = str(key.value)
            if name == "<<" and key.tag == _PLAIN:
                raise DocumentError(place, "merge keys (<<) are not read", hint="write the keys out")
            if name in found:
                first = self.keys[(*path, name)]
                raise DocumentError(place, f"{name} stands twice, first in line {first.line}")
            self.keys[(*path, name)] = place
            found[name] = self.build(child, (*path, name))
        return found


_TAGS: dict[type[yaml.Node], tuple[str, ...]] = {
    yaml.ScalarNode: (_PLAIN, "!", "str", "int", "float", "bool", "null"),
    yaml.SequenceNode: ("!", "seq"),
    yaml.MappingNode: ("!", "map"),
}


def scalar(text: str) -> Any:
    """What a scalar without quotes means under YAML 1.2's core schema.

    >>> scalar("0o14"), scalar("1e3"), scalar("yes"), scalar("~")
    (12, 1000.0, 'yes', None)
    """
    for pattern, convert in _SCALARS:
        if pattern.match(text):
            # Python reads no decimal number of more than some thousand digits; nobody means one.
            return convert(text) if len(text) <= 1000 else text
    return text


def _place(node: yaml.Node | yaml.Event, source: str) -> Place:
    mark: Any = node.start_mark
    return Place(source, mark.line + 1, mark.column + 1)


def _mistakes(
    document: Document, model: type[BaseModel], at: Path, error: ValidationError
) -> list[DocumentError]:
    """One sentence for each mistake; where every branch of a union complains, that is one mistake."""
    found: list[DocumentError] = []
    unions: dict[Path, list[Any]] = {}
    for item in error.errors():
        union = _union(document, at, item)
        if union is None:
            found.append(_mistake(document, model, at, item))
        else:
            unions.setdefault(union, []).append(item)
    for path, items in unions.items():
        nearly = [item for item in items if item["type"] not in _KINDS]
        if nearly:
            found += [_mistake(document, model, at, item) for item in nearly]
            continue
        kinds = " or ".join(dict.fromkeys(_KINDS[item["type"]] for item in items))
        found.append(document.error(path, _at(path, f"must be {kinds}{_shown(items[0])}")))
    return found


def _union(document: Document, at: Path, item: Any) -> Path | None:
    """Where the union stands to one of whose branches an error belongs, or None.

    Pydantic puts the branch's name between the keys; it is a step that the document has not.
    """
    path, loc = at, item["loc"]
    for index, step in enumerate(loc):
        if (*path, step) in document.values:
            path = (*path, step)
        elif step == "[key]" or (index == len(loc) - 1 and item["type"] == "missing"):
            return None
        else:
            return path
    return None


def _mistake(document: Document, model: type[BaseModel], at: Path, item: Any) -> DocumentError:
    """Turn one of pydantic's errors into a sentence at a place."""
    path: Path = at + tuple(item["loc"])
    known = _known_path(document, path)
    kind = item["type"]
    if kind == "extra_forbidden":
        word = str(path[-1])
        return DocumentError(
            document.key_place(known),
            f"unknown key {word}",
            hint=did_you_mean(word, _fields(model, item["loc"][:-1])),
        )
    if kind == "missing":
        parent = ".".join(str(step) for step in known)
        return DocumentError(
            document.place(known), f"{path[-1]} is missing" + (f" in {parent}" if parent else "")
        )
    if path[-1:] == ("[key]",):
        return DocumentError(
            document.key_place(known),
            f"{known[-1]} cannot be a name",
            hint="a name has lower-case letters, digits, - and _, and begins with a letter",
        )
    if kind == "value_error":
        return DocumentError(document.place(known), _at(known, str(item["ctx"]["error"]), ": "))
    if kind in _KINDS and not known and item.get("input") is None:
        return document.error(known, "the file is empty")
    if kind in _KINDS:
        return document.error(known, _at(known, f"must be {_KINDS[kind]}{_shown(item)}"))
    hint: str | None = None
    got = item.get("input")
    if kind == "literal_error" and isinstance(got, str):
        hint = did_you_mean(got, re.findall(r"'([^']*)'", item["ctx"]["expected"]))
    reason = re.sub(r"^(?:Input|String|Value) should ", "must ", item["msg"])
    return document.error(known, _at(known, reason[:1].lower() + reason[1:] + _shown(item)), hint=hint)


def _at(path: Path, reason: str, between: str = " ") -> str:
    where = ".".join(str(step) for step in path)
    if not where:
        return reason if between == ": " else f"the file {reason}"
    return f"{where}{between}{reason}"


def _shown(item: Any) -> str:
    got = item.get("input")
    return f", not {got!r}" if got is None or isinstance(got, str | int | float | bool) else ""


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
        if str(step).removesuffix("]").split(", ")[-1] == annotation.__name__:
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
