"""What the controller remembers: one JSON file per deployment, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass
class Revision:
    """One version of a deployment: an immutable model and settings, and the process that serves it."""

    name: str
    number: int
    key: str
    port: int
    uri: str
    digest: str
    created: str
    env: dict[str, str] = field(default_factory=dict)
    version: str | None = None
    run_id: str | None = None
    identity: str | None = None
    ready: str | None = None

    @property
    def service(self) -> str:
        """The name of its process at the supervisor."""
        return f"serving-{self.name}"


@dataclass
class Record:
    """A deployment: what was asked for last, and its revisions, oldest first.

    `active` is the revision that has the traffic. `generation` counts what was asked for, `observed` is
    the last one that was dealt with, `failure` why it does not serve.
    """

    name: str
    namespace: str
    document: dict[str, Any]
    uid: str
    created: str
    generation: int = 0
    observed: int = 0
    counter: int = 0
    active: str | None = None
    revisions: list[Revision] = field(default_factory=list)
    failure: dict[str, str] | None = None
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)

    def revision(self, name: str | None) -> Revision | None:
        """The revision of that name."""
        return next((revision for revision in self.revisions if revision.name == name), None)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """The record that was written; fields of another version are left out."""
        known = {entry.name for entry in fields(cls)}
        inner = {entry.name for entry in fields(Revision)}
        found = {key: value for key, value in data.items() if key in known}
        found["revisions"] = [
            Revision(**{key: value for key, value in item.items() if key in inner})
            for item in data["revisions"]
        ]
        return cls(**found)


class Store:
    """The folder of the records; documents may hold secrets in ``env``, so only its owner reads it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def load(self) -> dict[str, Record]:
        """All records by name."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = {}
        for path in sorted(self._root.glob("*.json")):
            record = Record.from_json(json.loads(path.read_text()))
            found[record.name] = record
        return found

    def save(self, record: Record) -> None:
        """Write a record so that a crash leaves the old one or the new one."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=self._root)
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(asdict(record), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(partial).replace(self._root / f"{record.name}.json")
        except BaseException:
            with contextlib.suppress(OSError):
                Path(partial).unlink()
            raise

    def forget(self, name: str) -> None:
        """Remove a record."""
        with contextlib.suppress(FileNotFoundError):
            (self._root / f"{name}.json").unlink()
