"""Branches and tags: the only objects of a repository that change, each by comparing and swapping."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import Literal

from millpond.lake.repository.objects import Objects
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError, did_you_mean

Kind = Literal["branch", "tag"]
_FOLDERS: dict[Kind, str] = {"branch": "refs/heads/", "tag": "refs/tags/"}
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*(/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{12,64}")


@dataclass(frozen=True)
class Ref:
    """A name for a commit; `version` is what `Refs.move` wants to know of it."""

    kind: Kind
    name: str
    commit: str
    version: str


def check_name(name: str, kind: Kind) -> str:
    """A name that a branch or a tag can have.

    Raises:
        MillpondError: it cannot, with the reason.
    """
    if not _NAME.fullmatch(name) or len(name) > 200 or name.endswith((".json", ".")):
        raise MillpondError(
            f"{name!r} cannot be a {kind}'s name",
            hint="letters, digits and . _ + - in parts that / separates, such as experiments/night-1",
        )
    if _COMMIT.fullmatch(name):
        raise MillpondError(f"{name} looks like a commit, so no {kind} is called that")
    return name


class Refs:
    """The branches and tags of one repository."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def find(self, kind: Kind, name: str) -> Ref | None:
        """One by its name, or None."""
        if not _NAME.fullmatch(name):
            return None
        found = self._objects.read_version(_key(kind, name))
        return None if found is None else Ref(kind, name, str(json.loads(found[0])["commit"]), found[1])

    def get(self, kind: Kind, name: str) -> Ref:
        """One by its name.

        Raises:
            MillpondError: there is none.
        """
        found = self.find(kind, name)
        if found is None:
            raise MillpondError(
                f"there is no {kind} {name} in {self._objects.uri}", hint=did_you_mean(name, self.names(kind))
            )
        return found

    def names(self, kind: Kind) -> list[str]:
        """All of a kind, sorted."""
        folder = _FOLDERS[kind]
        keys = (item.key for item in self._objects.below(folder))
        return [key.removeprefix(folder).removesuffix(".json") for key in keys if key.endswith(".json")]

    def create(self, kind: Kind, name: str, commit: str) -> None:
        """Give a commit a name.

        Raises:
            MillpondError: the name is taken, or cannot be one.
        """
        check_name(name, kind)
        try:
            self._objects.create(_key(kind, name), _text(commit))
        except ConflictError:
            raise MillpondError(
                f"there is a {kind} {name} already", hint="choose another name, or delete it first"
            ) from None

    def move(self, ref: Ref, commit: str) -> None:
        """Let a name mean another commit, if it still means what was read.

        Raises:
            ConflictError: it does not.
        """
        text = _text(commit)
        try:
            self._objects.swap(_key(ref.kind, ref.name), text, ref.version)
        except ConflictError:
            # An answer can be lost on its way, and the request be sent again: then this one was heard.
            found = self._objects.read_version(_key(ref.kind, ref.name))
            if found is None or found[0] != text:
                raise

    def delete(self, kind: Kind, name: str) -> Ref:
        """Forget a name; returns what it meant.

        Raises:
            MillpondError: there is none.
        """
        ref = self.get(kind, name)
        self._objects.delete([_key(kind, name)])
        return ref

    def all(self) -> list[Ref]:
        """Every branch and tag."""
        found = []
        for kind in _FOLDERS:
            for name in self.names(kind):
                if ref := self.find(kind, name):
                    found.append(ref)
        return found


def _key(kind: Kind, name: str) -> str:
    return f"{_FOLDERS[kind]}{name}.json"


def _text(commit: str) -> bytes:
    return (json.dumps({"commit": commit, "moved": round(time.time(), 6)}) + "\n").encode()
