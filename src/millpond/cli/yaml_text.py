"""A YAML file whose data changes while its comments and the order of its keys stay.

Only the lines of what changed are written anew. The result is read back: where it does not say what was
wanted, the whole of it is written anew under its first comment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from millpond.model.document import read, scalar
from millpond.model.errors import DocumentError


class _Dumper(yaml.SafeDumper):
    """Quotes what YAML 1.2 would take for something else than text."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    ambiguous = value != "" and scalar(value) != value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if ambiguous else None)


_Dumper.add_representer(str, _text)


def dump(data: Any, *, flow: bool = False) -> str:
    """Data as YAML, in the order that it has; `flow` puts it on one line."""
    found: str = yaml.dump(
        data,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=flow,
        width=float("inf"),
    )
    return found.removesuffix("...\n").rstrip("\n") if flow else found.removesuffix("...\n")


def revised(text: str, wanted: Any) -> str:
    """The text of a YAML document with other data; what is equal keeps its lines.

    Args:
        text: one YAML document.
        wanted: the data that it shall have.
    """
    if not text.endswith("\n"):
        text += "\n"
    try:
        before = read(text, "the file").data
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        found = _Revision(text).apply(node, before, wanted)
        if read(found, "the file").data == wanted:
            return found
    except (DocumentError, yaml.YAMLError, _Unclear):
        pass
    return _first_comment(text) + dump(wanted)


class _Unclear(Exception):  # noqa: N818
    """The text is written in a way that lines cannot be exchanged in."""


@dataclass(frozen=True)
class _Edit:
    start: int
    end: int
    text: str


class _Revision:
    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = [0]
        for line in text.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def apply(self, node: yaml.Node | None, before: Any, after: Any) -> str:
        if node is None:
            raise _Unclear
        found = self._text
        edits = sorted(self._edits(node, before, after), key=lambda edit: (edit.start, edit.end))
        for edit in reversed(edits):
            found = found[: edit.start] + edit.text + found[edit.end :]
        return found

    def _edits(self, node: yaml.Node, before: Any, after: Any) -> Iterator[_Edit]:
        """What exchanges one value for another."""
        if before == after and type(before) is type(after):
            return
        if isinstance(node, yaml.MappingNode) and not node.flow_style and isinstance(after, dict) and after:
            yield from self._mapping(node, before, after)
        elif isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            raise _Unclear
        elif isinstance(node, yaml.ScalarNode) or getattr(node, "flow_style", False):
            start, end = node.start_mark.index, node.end_mark.index
            space = "" if start == 0 or self._text[start - 1].isspace() else " "
            yield _Edit(start, end, space + dump(after, flow=True))
        else:
            raise _Unclear

    def _mapping(self, node: yaml.MappingNode, before: Any, after: dict[str, Any]) -> Iterator[_Edit]:
        if not isinstance(before, dict):
            raise _Unclear
        entries = {str(key.value): (key, value) for key, value in node.value}
        indent = node.value[0][0].start_mark.column
        for name, (key, value) in entries.items():
            start = self._lines[key.start_mark.line]
            end = self._lines[_last_line(value, key) + 1]
            if name not in after:
                yield _Edit(start, end, "")
                continue
            exchanged = isinstance(after[name], dict | list) and not _same_kind(value, after[name])
            if exchanged and before[name] != after[name]:
                yield _Edit(start, end, _indented({name: after[name]}, indent))
            else:
                yield from self._edits(value, before[name], after[name])
        new = {name: value for name, value in after.items() if name not in entries}
        if new:
            key, value = node.value[-1]
            at = self._lines[_last_line(value, key) + 1]
            yield _Edit(at, at, _indented(new, indent))


def _same_kind(node: yaml.Node, value: Any) -> bool:
    """Whether a value can be changed within the node, rather than in its place."""
    return isinstance(value, dict) and isinstance(node, yaml.MappingNode) and bool(value) == bool(node.value)


def _last_line(node: yaml.Node, key: yaml.Node) -> int:
    """The last line of a value's own text: a block's end mark stands behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode):
        if node.style in ("|", ">"):
            raise _Unclear
        return max(int(node.end_mark.line), int(key.end_mark.line))
    if isinstance(node, yaml.CollectionNode) and (node.flow_style or not node.value):
        return int(node.end_mark.line)
    last = node.value[-1]
    return _last_line(last[1], last[0]) if isinstance(last, tuple) else _last_line(last, last)


def _indented(data: Any, columns: int) -> str:
    return "".join(" " * columns + line for line in dump(data).splitlines(keepends=True))


def _first_comment(text: str) -> str:
    found = []
    for line in text.splitlines(keepends=True):
        if not line.startswith("#"):
            break
        found.append(line)
    return "".join(found)
