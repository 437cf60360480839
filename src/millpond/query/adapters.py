"""What DuckDB cannot read itself, as databases of a query: an adapter copies what the query names.

``kafka.orders`` is such a table: when a query names it, the adapter brings its rows, and the query sees them
as they were then, however often it names them. The copy is DuckDB's, so it goes to disk where memory ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from millpond.model.errors import MillpondError, did_you_mean
from millpond.query.words import Edit, Word, identifier, literal

_BEFORE = ("from", "join", "describe", "summarize")
_COPIES = "copied"
_LISTED = "read when a query names it"


class Adapter(Protocol):
    """Reads one kind of service.

    Attributes:
        name: the database in queries.
        function: ``NAME(text, …)`` in a query, where the service itself is to choose the rows; None for none.
        arguments: how many texts that takes.
        depth: how many names follow the database's: 1 for a topic, 2 for a schema and a table.
        where: for messages; no secret is in it.
    """

    name: str
    function: str | None
    arguments: int
    depth: int
    where: str

    def names(self) -> list[str]:
        """What it has, as queries name it after the database."""

    def read(self, name: Sequence[str], chosen: Sequence[str]) -> Rows | None:
        """The rows of one, those that were chosen where something was; None where there is no such thing."""


@dataclass(frozen=True)
class Rows:
    """Rows on their way into a query.

    Attributes:
        schema: the ``pyarrow.Schema`` of the batches.
        batches: record batches, read as they are taken.
        document: the column whose text is a JSON object, the fields of which become columns.
    """

    schema: Any
    batches: Iterator[Any]
    document: str | None = None


@dataclass(frozen=True)
class Named:
    """A place in a query where an adapter's table stands.

    Attributes:
        sure: it stands where only a table can; else it may be a column.
        edit: how it has to be put; None where it can stay.
    """

    adapter: Adapter
    name: tuple[str, ...]
    chosen: tuple[str, ...]
    sure: bool
    edit: Edit | None


class Adapters:
    """The adapters of a session.

    Args:
        connection: DuckDB's.
        makers: what finds them in an environment; each gives None where its service is not named.
    """

    def __init__(
        self,
        connection: Any,
        environment: Mapping[str, str],
        makers: Sequence[Callable[[Mapping[str, str]], Adapter | None]],
    ) -> None:
        found = [adapter for make in makers if (adapter := make(environment)) is not None]
        self.by_name = {adapter.name: adapter for adapter in found}
        self._functions = {adapter.function: adapter for adapter in found if adapter.function}
        self._connection = connection
        self._attached: set[str] = set()

    def bring(self, found: Sequence[Word]) -> list[Edit]:
        """Copy what a query names, as it is now; returns how the query has to be put.

        Raises:
            MillpondError: it is not there, or its service is not reached.
        """
        if not self.by_name:
            return []
        edits, done = [], set()
        for place in self._places(found):
            if place.edit is not None:
                edits.append(place.edit)
            key = (place.adapter.name, place.name, place.chosen)
            if key not in done:
                done.add(key)
                self._copy(place)
        return edits

    def show_all(self) -> dict[str, str]:
        """Make everything there is be listed; returns why some could not be, by the adapter's name."""
        unreached = {}
        for adapter in self.by_name.values():
            try:
                names = adapter.names()
            except MillpondError as error:
                unreached[adapter.name] = error.message
                continue
            for name in names:
                view = self._view(adapter, tuple(name.split(".", adapter.depth - 1)))
                # Whoever comes to it past this module hears how to name it, and does not see it as empty.
                said = (
                    f"error({literal(f'name it as {adapter.name}.{name}')})::VARCHAR AS {identifier(_LISTED)}"
                )
                self._connection.execute(f"CREATE VIEW IF NOT EXISTS {view} AS SELECT {said}")
        return unreached

    def _places(self, found: Sequence[Word]) -> Iterator[Named]:
        for number, word in enumerate(found):
            if word.kind != "name":
                continue
            if (adapter := self._functions.get(word.value.lower())) is not None:
                yield self._called(adapter, found, number)
            before = found[number - 1] if number else None
            adapter = self.by_name.get(word.value.lower())
            if adapter is None or before is None or not (before.is_keyword(*_BEFORE) or before.value == ","):
                continue
            after = found[number + 1 : number + 1 + 2 * adapter.depth]
            dots, names = after[::2], after[1::2]
            if len(after) == 2 * adapter.depth and all(dot.value == "." for dot in dots):
                name = tuple(part.value for part in names)
                yield Named(adapter, name, (), before.value != ",", None)

    def _called(self, adapter: Adapter, found: Sequence[Word], number: int) -> Named:
        """``elasticsearch_search('logs', 'status:500')``, which becomes the name of a copy of its own."""
        inside = found[number + 1 : number + 2 + 2 * adapter.arguments]
        texts = inside[1::2]
        signs = "".join(word.value for word in inside[::2])
        if len(texts) != adapter.arguments or any(word.kind != "text" for word in texts):
            signs = ""
        if signs != "(" + "," * (adapter.arguments - 1) + ")":
            kinds = ", ".join(["'…'"] * adapter.arguments)
            raise MillpondError(
                f"{adapter.function} takes {adapter.arguments} texts",
                hint=f"write {adapter.function}({kinds})",
            )
        chosen = tuple(word.value for word in texts)
        name = (*("main",) * (adapter.depth - 1), f"{adapter.function}: {' '.join(chosen)}")
        edit = Edit(found[number].start, inside[-1].end, self._view(adapter, name))
        return Named(adapter, name, chosen, True, edit)

    def _view(self, adapter: Adapter, name: tuple[str, ...]) -> str:
        database = identifier(adapter.name)
        if adapter.name not in self._attached:
            self._connection.execute(f"ATTACH ':memory:' AS {database}")
            self._connection.execute(f"CREATE SCHEMA {database}.{_COPIES}")
            self._attached.add(adapter.name)
        schema = "main" if len(name) == 1 else name[0]
        self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {database}.{identifier(schema)}")
        return f"{database}.{identifier(schema)}.{identifier(name[-1])}"

    def _copy(self, place: Named) -> None:
        adapter, connection = place.adapter, self._connection
        rows = adapter.read(place.name, place.chosen)
        if rows is None:
            if not place.sure:
                return
            name = f"{adapter.name}.{'.'.join(place.name)}"
            near = did_you_mean(name, [f"{adapter.name}.{other}" for other in adapter.names()])
            raise MillpondError(f"there is no {name} at {adapter.where}", hint=near)
        view = self._view(adapter, place.name)
        table = f"{identifier(adapter.name)}.{_COPIES}.{identifier('.'.join(place.name))}"
        connection.register("millpond_batch", rows.schema.empty_table())
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM millpond_batch")
        for batch in rows.batches:
            connection.register("millpond_batch", batch)
            connection.execute(f"INSERT INTO {table} FROM millpond_batch")
        connection.unregister("millpond_batch")
        # A view, so that nobody takes a change of the copy for one of the service.
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {_columns(connection, table, rows.document)}")


def _columns(connection: Any, table: str, document: str | None) -> str:
    """The query that gives a copy its columns: the fields of its documents, and what came beside them."""
    if document is None:
        return f"FROM {table}"
    text = f"(CASE WHEN json_valid({document}) THEN {document} END)::JSON"
    found = connection.execute(f"SELECT json_group_structure({text})::VARCHAR FROM {table}").fetchone()[0]
    if not (found or "").startswith("{") or found == "{}":
        return f"FROM {table}"
    return f"SELECT unnest(json_transform({text}, {literal(found)})), * FROM {table}"
