"""What the controller remembers: one JSON file per deployment, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from millpond.serving.annotations import Intentions


@dataclass
class Replica:
    """One process of a revision; `grpc_port` is 0 when it speaks no gRPC."""

    number: int
    port: int
    grpc_port: int = 0


@dataclass
class Revision:
    """One version of a deployment: an immutable model and settings, and the processes that serve it.

    `settings` is what its processes are started with, `spec` what the document said, for a return to it;
    `replicas` are the processes that are meant to run, none when it is stopped or scaled to zero. `python`
    and `variables` are the environment of its own, where it has one.
    """

    name: str
    number: int
    key: str
    uri: str
    digest: str
    created: str
    settings: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)
    replicas: list[Replica] = field(default_factory=list)
    wanted: int = 1
    version: str | None = None
    run_id: str | None = None
    identity: str | None = None
    ready: str | None = None
    python: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    environment: str | None = None

    def service(self, replica: Replica) -> str:
        """The name of a replica's process at the supervisor."""
        return f"serving-{self.name}" + (f".{replica.number}" if replica.number else "")

    @property
    def services(self) -> list[str]:
        """The names of all its processes."""
        return [self.service(replica) for replica in self.replicas]


@dataclass
class Record:
    """A deployment: what was asked for last, and its revisions, oldest first.

    `active` is the revision that is rolled out, `candidate` the one beside it that has `percent` of the
    traffic, or copies of it, as `annotations` say. `generation` counts what was asked for, `observed`
    is the last one that was dealt with, `failure` why it does not serve. `reuse` is the revision that the
    newest document means, when that is known without asking the registry. `rollout` is how far an automatic
    rollout is.
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
    candidate: str | None = None
    previous: str | None = None
    percent: int = 0
    annotations: dict[str, str] = field(default_factory=dict)
    since: float = 0.0
    reuse: str | None = None
    rollout: dict[str, Any] | None = None
    revisions: list[Revision] = field(default_factory=list)
    failure: dict[str, str] | None = None
    conditions: dict[str, dict[str, str]] = field(default_factory=dict)

    def revision(self, name: str | None) -> Revision | None:
        """The revision of that name."""
        return next((revision for revision in self.revisions if revision.name == name), None)

    @property
    def live(self) -> list[Revision]:
        """The revisions that are meant to run: the candidate first, then the active one."""
        found = (self.revision(self.candidate), self.revision(self.active))
        return [revision for revision in found if revision is not None]

    @property
    def intentions(self) -> Intentions:
        """What the annotations of the document that is served ask for."""
        return Intentions.of(self.annotations)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Record:
        """The record that was written; fields of another version are left out."""
        known = {entry.name for entry in fields(cls)}
        found = {key: value for key, value in data.items() if key in known}
        found["revisions"] = [_revision(item) for item in data["revisions"]]
        return cls(**found)


def _revision(item: dict[str, Any]) -> Revision:
    known = {entry.name for entry in fields(Revision)}
    found = {key: value for key, value in item.items() if key in known}
    if "port" in item:  # Millpond 0.1 had one process for each
        found["replicas"] = [{"number": 0, "port": item["port"]}]
        found["settings"] = {"format": "mlflow", "env": item.get("env", {})}
    found["replicas"] = [Replica(**replica) for replica in found.get("replicas", [])]
    return Revision(**found)


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
        write(self._root / f"{record.name}.json", asdict(record))

    def forget(self, name: str) -> None:
        """Remove a record."""
        with contextlib.suppress(FileNotFoundError):
            (self._root / f"{name}.json").unlink()


def write(path: Path, document: Any) -> None:
    """Put a JSON file in its place, whole, on the disk and for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, partial = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(partial).unlink()
        raise


def write_news(path: Path, document: Any) -> None:
    """Put a JSON file in its place unless it says the same already, as its readers look at its time."""
    with contextlib.suppress(OSError, ValueError):
        if json.loads(path.read_text()) == document:
            return
    write(path, document)
