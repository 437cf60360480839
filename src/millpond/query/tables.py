"""Iceberg tables in a query: ``lake.namespace.table``, at a branch, a tag, a snapshot or a time.

DuckDB reads Iceberg's snapshots by number and knows no branches. So what a query names is looked up in the
catalogue, and stands in a database ``lake`` as a view on exactly that snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from millpond.lake.tables import Table, named_in, open_catalogue, snapshot_at
from millpond.lake.tables.table import names as names_in
from millpond.model.errors import MillpondError
from millpond.query.words import Edit, Word, identifier, literal

DATABASE = "lake"
_AT = ("version", "branch", "tag", "timestamp")


@dataclass(frozen=True)
class Mention:
    """A table that a query names.

    Args:
        at: the branch, tag, snapshot or time that was asked for.
        start, end: where it stands in the query, its ``AT (…)`` included.
    """

    namespace: str
    table: str
    at: str | int | datetime | None
    start: int
    end: int

    @property
    def schema(self) -> str:
        """The schema of its view; tables as they were at some time have one of their own."""
        return self.namespace if self.at is None else f"{self.namespace}@{self.at}"

    def edit(self) -> Edit | None:
        """How it has to be put; None where it can stay."""
        if self.at is None:
            return None
        parts = (DATABASE, self.schema, self.table)
        return Edit(self.start, self.end, ".".join(identifier(part) for part in parts))


def mentions(found: Sequence[Word]) -> list[Mention]:
    """The tables that a query names.

    Raises:
        MillpondError: a time is none.
    """
    named = []
    for number, word in enumerate(found):
        part = found[number : number + 5]
        if len(part) < 5 or not word.is_name(DATABASE) or (number and found[number - 1].value == "."):
            continue
        if (part[1].value, part[3].value) != (".", ".") or (part[2].kind, part[4].kind) != ("name", "name"):
            continue
        at, end = _at(found[number + 5 :])
        named.append(Mention(part[2].value, part[4].value, at, word.start, end or part[4].end))
    return named


def _at(after: Sequence[Word]) -> tuple[str | int | datetime | None, int]:
    """What an ``AT (BRANCH => 'x')`` asks for, and where it ends; nothing where there is none."""
    if len(after) < 6 or not after[0].is_keyword("at") or after[1].value != "(":
        return None, 0
    kind = after[2].value.lower()
    value = after[4:7] if after[4].is_keyword("timestamp") else after[3:6]
    if kind not in _AT or after[3].value != "=>" or len(value) < 3 or value[2].value != ")":
        return None, 0
    text = value[1].value
    if kind == "timestamp":
        try:
            return datetime.fromisoformat(text), value[2].end
        except ValueError:
            raise MillpondError(f"{text} is not a time", hint="write 2026-11-24 12:30:00") from None
    return int(text) if value[1].kind == "number" and text.isdigit() else text, value[2].end


class Tables:
    """The lake's tables, shown to a connection of DuckDB.

    Args:
        connection: DuckDB's, with the extension for Iceberg loaded before `show`.
        environment: where the catalogue is.
    """

    def __init__(self, connection: Any, environment: Mapping[str, str]) -> None:
        self.known = named_in(environment)
        self._connection = connection
        self._environment = environment
        self._attached = False
        self._versions: set[str] = set()

    def names(self) -> list[str]:
        """The names of all of them, as queries name them without the database."""
        return names_in(open_catalogue(self._environment))

    def show(self, mention: Mention) -> None:
        """Make the view that a mention means, on the table as it is now.

        Raises:
            MillpondError: there is no such table, or no such version of it.
        """
        table = Table(f"{mention.namespace}.{mention.table}", open_catalogue(self._environment)).loaded()
        snapshot = None if mention.at is None else snapshot_at(table, mention.at)
        version = "" if snapshot is None else f", snapshot_from_id => {snapshot}"
        if not self._attached:
            self._connection.execute(f"ATTACH ':memory:' AS {DATABASE}")
            self._attached = True
        if mention.at is not None:
            self._versions.add(mention.schema)
        schema = f"{DATABASE}.{identifier(mention.schema)}"
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._connection.execute(
            f"CREATE OR REPLACE VIEW {schema}.{identifier(mention.table)} AS"
            f" FROM iceberg_scan({literal(table.metadata_location)}{version})"
        )

    def show_all(self) -> None:
        """Make the views of all tables; those of earlier versions, which queries named, go."""
        for schema in self._versions:
            self._connection.execute(f"DROP SCHEMA IF EXISTS {DATABASE}.{identifier(schema)} CASCADE")
        self._versions.clear()
        for name in self.names():
            namespace, _, table = name.rpartition(".")
            self.show(Mention(namespace, table, None, 0, 0))
