"""What a dry run would change of a live object, told in words; what is in a Secret never."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from millpond.targets.kubernetes.bundle import Object

_OF_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
_KEYS = ("name", "containerPort", "port", "mountPath", "key", "type")
"""By which one element of a list is told from the others."""


def differences(live: Object, wished: Object) -> list[str]:
    """Each field that differs, as ``path old → new``."""
    secret = live.get("kind") == "Secret"
    return [
        f"{path} differs" if secret and path.startswith(("data", "stringData")) else _told(path, old, new)
        for path, old, new in _walk("", _plain(live), _plain(wished))
    ]


def changed(live: Object, wished: Object) -> bool:
    """Whether anything differs that the server does not set itself."""
    return _plain(live) != _plain(wished)


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()


def _plain(obj: Object) -> Object:
    found = {name: value for name, value in obj.items() if name != "status"}
    found["metadata"] = {name: value for name, value in obj["metadata"].items() if name not in _OF_THE_SERVER}
    return found


def _walk(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            inner = f"{path}.{name}" if path and not _odd(name) else f"{path}[{name}]" if path else name
            yield from _walk(inner, old.get(name, MISSING), new.get(name, MISSING))
    elif isinstance(old, list) and isinstance(new, list) and (by := _key(old, new)):
        before = {item[by]: item for item in old}
        after = {item[by]: item for item in new}
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _walk(f"{path}[{name}]", before.get(name, MISSING), after.get(name, MISSING))
        if list(before) != list(after) and sorted(map(str, before)) == sorted(map(str, after)):
            yield f"{path} (order)", list(before), list(after)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _walk(f"{path}[{number}]", left, right)
    else:
        yield path, old, new


def _odd(name: str) -> bool:
    return not name.replace("_", "").replace("-", "").isalnum()


def _key(old: list[Any], new: list[Any]) -> str | None:
    both = [*old, *new]
    if not both or not all(isinstance(item, dict) for item in both):
        return None
    for name in _KEYS:
        if all(isinstance(item.get(name), str | int) for item in both) and all(
            len({item[name] for item in items}) == len(items) for items in (old, new)
        ):
            return name
    return None


def _told(path: str, old: Any, new: Any) -> str:
    if old is MISSING:
        return f"{path} {_short(new)} (new)"
    if new is MISSING:
        return f"{path} {_short(old)} is gone"
    if isinstance(old, str) and isinstance(new, str) and ("\n" in old or "\n" in new or len(old + new) > 120):
        return f"{path} differs in {_lines(old, new)}"
    return f"{path} {_short(old)} → {_short(new)}"


def _lines(old: str, new: str) -> str:
    left, right = old.splitlines(), new.splitlines()
    number = sum(line not in left for line in right) + sum(line not in right for line in left)
    return f"{number} lines" if number > 1 else "1 line"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(", ", ": "))
    return text if len(text) <= 60 else f"{text[:57]}…"
