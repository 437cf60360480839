"""Sessions of SQL for people, each shut in: its own DuckDB, the lake by the person's key, and nothing else.

A session reads addresses that begin with ``s3://`` and what was attached before its doors were closed: no
files of this machine, no other address, no setting that could be changed back.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from millpond.query.server.people import Person
from millpond.query.session import Session

_KEPT = 3
_IDLE = 600.0
_LAKE_NAMES = ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True)
class Limits:
    """What one query may take.

    Args:
        memory: such as ``1GB``.
        seconds: until it is given up.
        rows: handed out at most.
        threads: that work on it.
    """

    memory: str = "1GB"
    seconds: float = 300.0
    rows: int = 10_000_000
    threads: int = 2


@dataclass
class _Kept:
    session: Session
    since: float = field(default_factory=time.monotonic)


class Desks:
    """Sessions, lent one query at a time and kept for a while.

    Args:
        environment: the platform's, as it was given to the server.
        database_users: the names of those who may ask its databases, too.
    """

    def __init__(
        self, environment: Mapping[str, str], database_users: frozenset[str], limits: Limits
    ) -> None:
        self.limits = limits
        self._environment = environment
        self._database_users = database_users
        self._lock = threading.Lock()
        self._idle: dict[Person, list[_Kept]] = defaultdict(list)

    def take(self, person: Person) -> Session:
        """A session for a person; `give` takes it back."""
        with self._lock:
            self._forget_old()
            if kept := self._idle[person]:
                return kept.pop().session
        return self._open(person)

    def give(self, person: Person, session: Session) -> None:
        """Take a session back that is in order."""
        with self._lock:
            if len(self._idle[person]) < _KEPT:
                self._idle[person].append(_Kept(session))
                return
        session.connection.close()

    @contextmanager
    def lent(self, person: Person) -> Iterator[Session]:
        """A session for the time of a call."""
        session = self.take(person)
        try:
            yield session
        finally:
            self.give(person, session)

    def _open(self, person: Person) -> Session:
        environment = {
            name: value
            for name, value in self._environment.items()
            if name in _LAKE_NAMES or name.startswith("PYICEBERG_")
        }
        environment |= {"AWS_ACCESS_KEY_ID": person.key, "AWS_SECRET_ACCESS_KEY": person.secret}
        if person.name and person.name in self._database_users:
            environment |= {k: v for k, v in self._environment.items() if k.startswith(("PG", "MYSQL_"))}
        session = Session(
            environment, memory=self.limits.memory, threads=self.limits.threads, folder=Path("/nonexistent")
        )
        session.shut_in()
        return session

    def _forget_old(self) -> None:
        old = time.monotonic() - _IDLE
        for person, kept in list(self._idle.items()):
            for one in [found for found in kept if found.since < old]:
                kept.remove(one)
                one.session.connection.close()
            if not kept:
                del self._idle[person]
