"""Conditions of inference graphs: whether a gjson path finds something in a JSON value.

KServe's router asks the Go library gjson, of which a condition uses one question only: does the path exist?
This is that question on values that are parsed already, for the paths of gjson's SYNTAX.md (version 1.18):
keys, ``*`` and ``?``, ``\\`` escapes, indexes, ``#``, ``#(...)``, ``#(...)#``, ``|``, comparisons and ``~``.
Of the modifiers there is ``@this``. Other modifiers, multipaths, literals and JSON lines are refused by name
by `check`, when the document is read.

Two quirks come with it, as they are: ``#(...)#`` and ``#.key`` find an empty list where nothing matches, so
they hold for every array; and a query that ends in ``.key`` looks at the first element that matches, and at
no other. A key that stands twice counts with its last value, where gjson takes the first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

_MODIFIERS = frozenset(
    ("dig", "flatten", "fromstr", "group", "join", "keys", "pretty", "reverse", "this", "tostr", "ugly")
) | {"valid", "values"}
_OPERATORS = ("==", "!=", "!%", "<=", ">=", "=", "<", ">", "%")
# Go's ParseFloat; what it cannot read counts as 0 in gjson's comparisons.
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:[eE][-+]?\d+)?\Z", re.ASCII)
_INFINITE = re.compile(r"[-+]?(?:inf|infinity|nan)\Z", re.IGNORECASE)
_MISSING: Any = object()


def exists(value: Any, path: str) -> bool:
    """Whether `path` finds something in `value`, which is JSON as Python has it.

    >>> exists({"predictions": [{"label": "dog"}]}, 'predictions.#(label=="dog")')
    True
    """
    return _get(value, path) is not _MISSING


def check(path: str) -> None:
    """Refuse what `exists` would not understand as gjson does, and what could never hold.

    Raises:
        ValueError: says what.
    """
    if not path:
        raise ValueError("an empty condition never holds; '@this' always does")
    if path.startswith(".."):
        raise ValueError("JSON lines (a path that begins with ..) are not supported")
    for before, part in _parts(path):
        _check_part(before, part)


def _check_part(before: str, part: str) -> None:
    if part.startswith("@") and (name := re.split("[:|.]", part[1:])[0]) in _MODIFIERS:
        if name != "this":
            raise ValueError(f"the gjson modifier @{name} is not supported, only @this is")
        if part != "@this":
            raise ValueError("@this takes no argument")
    elif part[:1] in ("{", "["):
        raise ValueError(f"gjson multipaths are not supported ({part[:1]})")
    elif part.startswith("!") and before != ".":
        raise ValueError("gjson literals are not supported (!)")
    elif part[:2] in ("#(", "#["):
        query = _query(part)
        if query is None or part[query.end :] not in ("", "#"):
            raise ValueError(f"{part} is not a gjson query")
        if query.operator == "" and query.value:
            raise ValueError(f"{part} has no operator that gjson knows: {' '.join(_OPERATORS)}")
        if query.path:
            check(query.path)
    elif re.search(r"(?<!\\)(?:==|!=|<=|>=)", part):
        raise ValueError(f"a comparison stands in a query, such as #({part})")


def _parts(path: str) -> Iterator[tuple[str, str]]:
    """The path's components, each with the separator before it; queries are kept whole."""
    before, start, i = "", 0, 0
    while i < len(path):
        if path[i] == "\\":
            i += 2
        elif i == start and path[i : i + 2] in ("#(", "#["):
            query = _query(path[i:])
            if query is None:
                break
            i += query.end
        elif path[i] in ".|":
            yield before, path[start:i]
            before, start = path[i], i + 1
            i += 1
        else:
            i += 1
    yield before, path[start:]


@dataclass(frozen=True)
class _Query:
    path: str = ""
    operator: str = ""
    value: str = ""
    end: int = 0


@dataclass(frozen=True)
class _Step:
    """The first component of a path, as an object or an array reads it, and what follows."""

    part: str
    rest: str | None = None
    pipe: str | None = None
    wild: bool = False
    query: _Query | None = None
    all: bool = False
    each: str | None = None


class _Search:
    """One walk: what was found so far, and the path that is applied to it at the end."""

    def __init__(self) -> None:
        self.value: Any = _MISSING
        self.pipe: str | None = None

    def take(self, value: Any) -> bool:
        self.value = value
        return True

    def object(self, found: dict[str, Any], path: str) -> bool:
        """Walk an object's members; true ends the walk."""
        step = _object_step(path)
        if step.pipe is not None:
            self.pipe = step.pipe
        if step.wild:
            members = [value for key, value in found.items() if _matches(key, step.part)]
        else:
            members = [found[step.part]] if step.part in found else []
        return any(self._enter(value, step.rest) for value in members)

    def array(self, found: list[Any], path: str) -> bool:
        """Walk an array's elements; true ends the walk."""
        step = _array_step(path)
        if step.pipe is not None:
            self.pipe = step.pipe
        if step.query is not None:
            return self._query(found, step, step.query)
        if step.part == "#":
            if step.each is None:
                return self.take(len(found))
            each, pipe = _split_pipe(step.each)
            self.pipe = pipe if pipe is not None else self.pipe
            results = [_get(value, each) for value in found]
            return self.take([value for value in results if value is not _MISSING])
        if not (step.part.isascii() and step.part.isdecimal()) or "#" in step.part:
            return False
        index = int(step.part[:20])
        return index < len(found) and self._enter(found[index], step.rest)

    def _enter(self, value: Any, rest: str | None) -> bool:
        if rest is None:
            return self.take(value)
        if isinstance(value, dict):
            return self.object(value, rest)
        return self.array(value, rest) if isinstance(value, list) else False

    def _query(self, found: list[Any], step: _Step, query: _Query) -> bool:
        results = []
        for value in found:
            if isinstance(value, dict | list):
                looked = _get(value, query.path)
            elif query.path:
                continue
            else:
                looked = value
            if not _holds(query, looked):
                continue
            result = value
            if step.rest is not None:
                rest, pipe = _split_pipe(step.rest)
                self.pipe = pipe if pipe is not None else self.pipe
                result = _get(value, rest)
            if not step.all:
                return self.take(result)
            if result is not _MISSING:
                results.append(result)
        if step.all and self.value is _MISSING:
            self.value = results
        return False


def _get(value: Any, path: str) -> Any:
    if path.startswith("@this") and (len(path) == 5 or path[5] in ".|"):
        return value if len(path) == 5 else _get(value, path[6:])
    search = _Search()
    if isinstance(value, dict):
        search.object(value, path)
    elif isinstance(value, list):
        search.array(value, path)
    if search.pipe is not None:
        return _MISSING if search.value is _MISSING else _get(search.value, search.pipe)
    return search.value


@lru_cache(1024)
def _object_step(path: str) -> _Step:
    part: list[str] = []
    wild, i = False, 0
    while i < len(path):
        letter = path[i]
        if letter == "|":
            return _Step("".join(part), pipe=path[i + 1 :], wild=wild)
        if letter == ".":
            return _after_dot("".join(part), path[i + 1 :], wild)
        if letter == "\\":
            i += 1
            part.append(path[i : i + 1])
        else:
            wild = wild or letter in "*?"
            part.append(letter)
        i += 1
    return _Step("".join(part), wild=wild)


def _after_dot(part: str, rest: str, wild: bool = False) -> _Step:
    if rest == "@this" or rest.startswith(("@this.", "@this|")):
        return _Step(part, pipe=rest, wild=wild)
    return _Step(part, rest=rest, wild=wild)


@lru_cache(1024)
def _array_step(path: str) -> _Step:
    query: _Query | None = None
    whole, i = False, 0
    if path[:2] == "#.":
        return _Step("#", rest="", each=path[2:])
    if path[:2] in ("#(", "#["):
        query = _query(path)
        if query is None:  # a pipe cut it in two, see `_split_pipe`; gjson lets it match everything
            return _Step(path, query=_Query())
        i = query.end
        whole = path[i : i + 1] == "#"
    while i < len(path) and path[i] not in ".|":
        i += 1
    part = path[:i]
    if i == len(path):
        return _Step(part, query=query, all=whole)
    if path[i] == "|":
        return _Step(part, pipe=path[i + 1 :], query=query, all=whole)
    if "#" not in part:
        return _after_dot(part, path[i + 1 :])
    return _Step(part, rest=path[i + 1 :], query=query, all=whole)


@lru_cache(1024)
def _query(text: str) -> _Query | None:
    """Read ``#(path operator value)`` at the begin of a text; None when it does not end."""
    i, start, depth, escaped = 2, 0, 1, False
    while i < len(text):
        letter = text[i]
        if depth == 1 and not start and letter in "!=<>%":
            start = i
        elif letter == "\\":
            i += 1
        elif letter in "[(":
            depth += 1
        elif letter in "])":
            depth -= 1
            if not depth:
                break
        elif letter == '"':
            i += 1
            while i < len(text) and text[i] != '"':
                escaped = escaped or text[i] == "\\"
                i += 2 if text[i] == "\\" else 1
        i += 1
    if depth:
        return None
    if not start:
        return _Query(_trim(text[2:i]), end=i + 1)
    path, value = _trim(text[2:start]), _trim(text[start:i])
    operator = next((word for word in _OPERATORS if value.startswith(word)), "")
    if len(value) == 1:
        operator = value
    value = _trim(value[len(operator) :])
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _unescaped(value) if escaped else value[1:-1]
    return _Query(path, "=" if operator == "==" else operator, value, i + 1)


def _trim(text: str) -> str:
    return text.strip("".join(map(chr, range(33))))


def _unescaped(quoted: str) -> str:
    try:
        return str(json.loads(quoted, strict=False))
    except ValueError:
        return quoted[1:-1]


@lru_cache(1024)
def _split_pipe(path: str) -> tuple[str, str | None]:
    """A path that is applied to each element, and what follows its first pipe outside of queries."""
    i = 0
    while i < len(path):
        if path[i] == "\\":
            i += 1
        elif path[i : i + 3] in (".#(", ".#["):  # gjson knows a query here behind a dot only
            query = _query(path[i + 1 :])
            if query is None:
                break
            i += query.end
        elif path[i : i + 2] == ".#":
            i += 2  # nor does it look at the letter behind the #
        elif path[i] == "|":
            return path[:i], path[i + 1 :]
        i += 1
    return path, None


def _holds(query: _Query, value: Any) -> bool:
    wanted = query.value
    if wanted.startswith("~"):
        cast = _CASTS.get(wanted[1:])
        if cast is None:
            return False
        value, wanted = cast(value), "true"
    if value is _MISSING:
        return False
    if query.operator == "":
        return True
    if isinstance(value, bool):
        return _compare_truth(value, query.operator, wanted)
    if isinstance(value, str):
        if query.operator in ("%", "!%"):
            return _matches(value, wanted) == (query.operator == "%")
        return _compare(value, query.operator, wanted)
    if isinstance(value, int | float):
        return _compare(_float(value), query.operator, _parsed(wanted))
    return False


def _compare(value: Any, operator: str, wanted: Any) -> bool:
    comparison = _COMPARISONS.get(operator)
    return comparison is not None and comparison(value, wanted)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    "<=": lambda a, b: bool(a <= b),
    ">": lambda a, b: bool(a > b),
    ">=": lambda a, b: bool(a >= b),
}


def _compare_truth(value: bool, operator: str, wanted: str) -> bool:
    if operator in ("=", "!="):
        return (wanted == ("true" if value else "false")) == (operator == "=")
    if operator == (">=" if value else "<="):
        return True
    return operator == (">" if value else "<") and wanted == ("false" if value else "true")


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _parsed(text: str) -> float:
    try:
        return float(text) if _NUMBER.match(text) or _INFINITE.match(text) else 0.0
    except ValueError:  # an underscore where none may stand
        return 0.0


def _truth(value: str) -> bool | None:
    word = value.lower()
    return True if word in ("1", "t", "true") else False if word in ("0", "f", "false") else None


def _trueish(value: Any) -> bool:
    if isinstance(value, str):
        return _truth(value) is True
    return isinstance(value, int | float) and value != 0


def _falseish(value: Any) -> bool:
    if isinstance(value, str):
        return _truth(value) is False
    return value is _MISSING or value is None or (isinstance(value, int | float) and value == 0)


_CASTS: dict[str, Callable[[Any], bool]] = {
    "*": lambda value: value is not _MISSING,
    "null": lambda value: value is _MISSING or value is None,
    "true": _trueish,
    "false": _falseish,
}


def _matches(text: str, pattern: str) -> bool:
    """Match ``*`` and ``?``; the backtracking goes to the last star only, so its cost is a product."""
    tokens = _tokens(pattern)
    i = j = 0
    star, mark = -1, 0
    while i < len(text):
        if j < len(tokens) and tokens[j] == "*":
            star, mark = j, i
            j += 1
        elif j < len(tokens) and tokens[j] in ("?", "\\" + text[i]):
            i, j = i + 1, j + 1
        elif star >= 0:
            mark += 1
            i, j = mark, star + 1
        else:
            return False
    return all(token == "*" for token in tokens[j:])


@lru_cache(1024)
def _tokens(pattern: str) -> tuple[str, ...]:
    """The wildcards as themselves, and each letter behind a backslash."""
    found, i = [], 0
    while i < len(pattern):
        if pattern[i] in "*?":
            found.append(pattern[i])
        else:
            i += pattern[i] == "\\" and i + 1 < len(pattern)
            found.append("\\" + pattern[i])
        i += 1
    return tuple(found)
