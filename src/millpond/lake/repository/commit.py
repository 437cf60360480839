"""Commits: what was made of what, by whom, when and why. Their id is the digest of their bytes."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from millpond.lake.repository.pack import DamagedError, digest
from millpond.lake.repository.tree import Node

FORMAT = 1


@dataclass(frozen=True)
class Commit:
    """One state of all files, for good.

    Attributes:
        parents: none for the first; two for a merge, of which the first is the branch that was merged into.
        tree: the root of its files, or None where there are none.
        time: seconds since the epoch.
        summary: how many files were added, changed and removed since the first parent.
        provenance: what made it, as `millpond.lake.repository.provenance` knows it.
    """

    id: str
    parents: tuple[str, ...]
    tree: Node | None
    author: str
    time: float
    message: str
    summary: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def short(self) -> str:
        """The beginning of its id, enough for a person."""
        return self.id[:12]

    @classmethod
    def make(cls, **parts: Any) -> tuple[Commit, bytes]:
        """A new commit and its bytes; `parts` are the attributes but `id`."""
        draft = cls("", **parts)
        data = (json.dumps(draft._plain(), sort_keys=True, indent=1, default=str) + "\n").encode()
        return cls.read(digest(data), data), data

    @classmethod
    def read(cls, id: str, data: bytes) -> Commit:  # noqa: A002 - the field's name
        """A commit from its bytes.

        Raises:
            DamagedError: they are not those that were written.
        """
        if digest(data) != id:
            raise DamagedError(
                f"the commit {id[:12]} is damaged", hint="`millpond repo fsck` tells what else is"
            )
        found = json.loads(data)
        return cls(
            id,
            tuple(found["parents"]),
            Node.from_dict(found["tree"]) if found["tree"] else None,
            found["author"],
            datetime.datetime.fromisoformat(found["time"]).timestamp(),
            found["message"],
            found.get("summary", {}),
            found.get("provenance", {}),
        )

    def _plain(self) -> dict[str, Any]:
        moment = datetime.datetime.fromtimestamp(self.time, datetime.UTC)
        return {
            "format": FORMAT,
            "parents": list(self.parents),
            "tree": self.tree.as_dict() if self.tree else None,
            "author": self.author,
            "time": moment.isoformat(timespec="microseconds"),
            "message": self.message,
            "summary": dict(self.summary),
            "provenance": dict(self.provenance),
        }

    def as_dict(self) -> dict[str, Any]:
        """Plain data for scripts: without the tree's address, with its size."""
        found = self._plain()
        del found["tree"], found["format"]
        size = {"files": self.tree.files if self.tree else 0, "bytes": self.tree.bytes if self.tree else 0}
        return {"id": self.id, **found, **size}


def key_of(id: str) -> str:  # noqa: A002 - the field's name
    """Where a commit is in its repository."""
    return f"commits/{id}.json"
