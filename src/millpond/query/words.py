"""A query cut into its words, so that what it names is found without understanding all of SQL."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_WORD = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
    |(?P<text>[eE]?'(?:[^']|'')*')
    |(?P<dollar>\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<name>[^\W\d]\w*)
    |(?P<number>\d[\w.]*)
    |(?P<sign>=>|\S)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Word:
    """One word of a query.

    Args:
        kind: ``name``, ``text`` (a string literal), ``number`` or ``sign``.
        value: what it means: a name without its quotes, a text without them.
        start, end: where it stands, in characters.
        quoted: whether a name stood in double quotes, which keywords never do.
    """

    kind: str
    value: str
    start: int
    end: int
    quoted: bool = False

    def is_name(self, *names: str) -> bool:
        """Whether it is one of these names; case does not matter."""
        return self.kind == "name" and self.value.lower() in names

    def is_keyword(self, *names: str) -> bool:
        """Whether it is one of these keywords."""
        return self.is_name(*names) and not self.quoted


def words(query: str) -> list[Word]:
    """The words of a query; comments are left out.

    >>> [word.value for word in words("SELECT \\"a b\\" FROM 'it''s.csv' -- all")]
    ['SELECT', 'a b', 'FROM', "it's.csv"]
    """
    found = []
    for match in _WORD.finditer(query):
        kind, text = str(match.lastgroup), match[0]
        if kind == "tag" or (text.startswith("$") and len(text) > 1):
            kind = "dollar"
        if kind == "comment":
            continue
        if kind == "text":
            value = text[text.index("'") + 1 : -1].replace("''", "'")
        elif kind == "dollar":
            kind, value = "text", text[len(match["tag"]) + 2 : -len(match["tag"]) - 2]
        elif kind == "quoted":
            found.append(Word("name", text[1:-1].replace('""', '"'), *match.span(), quoted=True))
            continue
        else:
            value = text
        found.append(Word(kind, value, *match.span()))
    return found


def literal(text: str) -> str:
    """A text as SQL writes it.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name as SQL writes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Edit:
    """A part of a query that is put otherwise."""

    start: int
    end: int
    text: str


class Edited:
    """A query with some of its parts put otherwise, that knows where each place was before.

    Args:
        query: as it was written.
        edits: what changes; they do not overlap.
    """

    def __init__(self, query: str, edits: Sequence[Edit]) -> None:
        self.query = query
        self._edits = sorted(edits, key=lambda edit: edit.start)
        parts, at = [], 0
        for edit in self._edits:
            parts += [query[at : edit.start], edit.text]
            at = edit.end
        self.text = "".join([*parts, query[at:]])

    def before(self, position: int) -> int:
        """The place in the query as it was written, of a place in `text`."""
        shift = 0
        for edit in self._edits:
            if position < edit.start + shift:
                break
            if position < edit.start + shift + len(edit.text):
                return edit.start
            shift += len(edit.text) - (edit.end - edit.start)
        return position - shift

    def line_and_column(self, position: int) -> tuple[int, int]:
        """Where a place of `text` stood in the query as it was written; both count from 1."""
        head = self.query[: self.before(position)]
        return head.count("\n") + 1, len(head) - (head.rfind("\n") + 1) + 1
