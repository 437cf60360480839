"""A session of SQL: DuckDB, closed to the network's surprises, with what the platform holds by its names.

What a query needs is brought when a query first names it: an extension, the lake's keys, a database. So a
query that reads one file costs no more than that.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError, Place
from millpond.query.adapters import Adapters
from millpond.query.extensions import CLOSED, load
from millpond.query.failure import SOURCE, QueryError, told
from millpond.query.indices import Indices
from millpond.query.places import Lake, lake_edits
from millpond.query.reading import only_reads
from millpond.query.sources import Source, found_in
from millpond.query.sqlserver import SqlServer
from millpond.query.tables import DATABASE, Mention, Tables, mentions
from millpond.query.topics import Topics
from millpond.query.words import Edited, Word, literal, words
from millpond.targets.cache import default_root

_REMOTE = ("s3://", "http://", "https://", "hf://")
_FUNCTIONS = {
    "iceberg": re.compile(r"iceberg(_\w+)?", re.IGNORECASE),
    "delta": re.compile(r"delta(_scan)?", re.IGNORECASE),
    "sqlite_scanner": re.compile(r"sqlite(_\w+)?", re.IGNORECASE),
    "mysql_scanner": re.compile(r"mysql_(scan|query|execute)", re.IGNORECASE),
    "postgres_scanner": re.compile(r"postgres_(scan|query|execute|attach)\w*", re.IGNORECASE),
}
_LISTS = re.compile(r"information_schema|duckdb_(tables|columns|views|schemas|databases)", re.IGNORECASE)
_TABLES = """
    SELECT database_name || '.' || schema_name || '.' || table_name FROM duckdb_tables()
    WHERE NOT internal AND schema_name NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT database_name || '.' || schema_name || '.' || view_name FROM duckdb_views()
    WHERE NOT internal AND schema_name NOT IN ('pg_catalog', 'information_schema')
"""


class Session:
    """DuckDB with the lake and the databases that the environment names.

    Args:
        environment: where things are, as ``millpond env`` tells it; this process's when left out.
        memory: the most that queries may take, such as ``2GB``; DuckDB's own four fifths when left out.
        threads: how many work on a query; all of the machine's when left out.
        sources: more databases, beside those of the environment.
        folder: where local files are looked for.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        memory: str | None = None,
        threads: int | None = None,
        sources: Sequence[Source] = (),
        folder: Path | None = None,
    ) -> None:
        import duckdb

        names = os.environ if environment is None else environment
        self._environment = names
        self.lake = Lake.found_in(names)
        self.endpoint = self.lake.endpoint.rstrip("/") if self.lake else ""
        self.folder = folder or Path.cwd()
        self.sources = {source.name: source for source in [*found_in(names), *sources]}
        self.unreached: dict[str, str] = {}
        spill = Path(tempfile.gettempdir()) / f"millpond-sql-{os.getpid()}"
        config: dict[str, Any] = {
            **CLOSED,
            # A name that is no table would become a variable of this module's, not of the user's.
            "python_enable_replacements": False,
            "temp_directory": str(spill),
            # Where a query's own INSTALL would put something; nothing here does.
            "extension_directory": str(default_root() / "duckdb"),
        }
        if memory is not None:
            config["memory_limit"] = memory
        if threads is not None:
            config["threads"] = threads
        try:
            self.connection = duckdb.connect(config=config)
        except duckdb.Error as error:
            raise MillpondError(
                f"DuckDB does not start: {str(error).splitlines()[0]}", hint="memory is written such as 2GB"
            ) from None
        self.connection.execute(f"SET file_search_path = {literal(str(self.folder))}")
        self._tables = Tables(self.connection, names)
        self._adapters = Adapters(
            self.connection, names, (Topics.found_in, Indices.found_in, SqlServer.found_in)
        )
        self._extensions: set[str] = set()
        self._attached: set[str] = set()
        self._signed = False
        self._shut = False

    def relation(self, query: str) -> Any:
        """A query as a DuckDB relation, which is carried out when its rows are asked for.

        Raises:
            QueryError: the query is wrong; says where.
            MillpondError: something that it names cannot be reached.
        """
        import duckdb

        edited = self.prepare(query)
        with self.explaining(edited):
            try:
                found = self.connection.sql(edited.text)
            except duckdb.Error:
                # Relations do not tell the place of what is wrong; carried out, it is wrong again.
                self.connection.execute(edited.text)
                raise
        # What it says later, when its rows are asked for, is read by a person as it is.
        if not self._shut:
            self.connection.execute("SET errors_as_json = false")
        return found

    def schema(self, query: str) -> Any:
        """The columns that a query would give, as a ``pyarrow.Schema``.

        Raises:
            QueryError, MillpondError: as `relation` does.
        """
        found = self.relation(query)
        return self.reader(query, rows=0).schema if found is None else found.limit(0).to_arrow_table().schema

    def shut_in(self) -> None:
        """Close the doors behind what is there now: queries read the lake and what is attached, nothing else.

        No file of this machine, no other address, no setting, no extension can be reached from then on, and
        statements that do not read are refused.
        """
        self.sign()
        if self._tables.known:
            self.load("iceberg")
        for source in self.sources.values():
            self._attach_if_there(source)
        for setting in (
            "errors_as_json = true",
            "allowed_directories = ['s3://']",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self.connection.execute(f"SET {setting}")
        self._shut = True

    def reader(self, query: str, *, timeout: float | None = None, rows: int | None = None) -> Any:
        """Carry a query out, and hand its rows on as they come: a ``pyarrow.RecordBatchReader``.

        Args:
            timeout: seconds until the query is given up, also while rows are read.
            rows: the most rows that come.

        Raises:
            QueryError, MillpondError: as `relation` does; also while rows are read.
        """
        import pyarrow

        edited = self.prepare(query)
        watch = _Watch(self.connection, timeout)
        try:
            with self.explaining(edited, watch):
                found = self.connection.execute(edited.text).fetch_record_batch(65_536)
        except BaseException:
            watch.done()
            raise
        batches = self._batches(found, edited, watch, rows)
        return pyarrow.RecordBatchReader.from_batches(found.schema, batches)

    def progress(self) -> float:
        """How far the query is that runs now, in percent; below 0 where that is not known."""
        try:
            return float(self.connection.query_progress())
        except Exception:
            return -1.0

    def prepare(self, query: str) -> Edited:
        """A query as DuckDB takes it, with everything brought that it names."""
        found = words(query)
        edits = lake_edits(found, self.lake, self.folder, self._version)
        self._bring(found, [*(edit.text.strip("'") for edit in edits), *_texts(found)])
        if self._tables.known:
            for mention in mentions(found):
                self._show(mention, query)
                edits += [edit] if (edit := mention.edit()) else []
        if not self._shut:
            edits += self._adapters.bring(found)
        edited = Edited(query, edits)
        if self._shut:
            only_reads(edited.text)
        return edited

    def tables(self) -> list[str]:
        """The names of all tables and views that queries can name, with their database and schema."""
        self._bring_all()
        return [str(row[0]) for row in self.connection.execute(_TABLES).fetchall()]

    def databases(self) -> list[str]:
        """The names of the databases that queries can name."""
        return [*self.sources, *self._adapters.by_name, *([DATABASE] if self._tables.known else [])]

    def files_beside(self, path: str) -> list[str]:
        """The files in the folder of one that is not there."""
        import duckdb

        folder = path.rpartition("/")[0]
        try:
            found = self.connection.execute(f"SELECT file FROM glob({literal(folder + '/*')}) LIMIT 1000")
            return [str(row[0]) for row in found.fetchall()]
        except duckdb.Error:
            return []

    def load(self, extension: str) -> None:
        """Load an extension once."""
        if extension not in self._extensions:
            if self._shut:
                raise MillpondError(f"what needs DuckDB's extension {extension} is not asked here")
            load(self.connection, extension)
            self._extensions.add(extension)

    def sign(self) -> None:
        """Tell DuckDB the lake's keys, once."""
        self.load("httpfs")
        if not self._signed and self.lake is not None and (statement := self.lake.statement()):
            self.connection.execute(statement)
        self._signed = True

    def attach(self, source: Source) -> None:
        """Attach a database, once.

        Raises:
            MillpondError: it is not there, or refuses.
        """
        import duckdb

        if source.name in self._attached:
            return
        if source.extension:
            self.load(source.extension)
        try:
            for statement in source.statements:
                self.connection.execute(statement)
        except duckdb.Error as error:
            reason = str(error).splitlines()[0].partition(": ")[2] or str(error)
            reason = re.sub(r"""\w+://\S+|password=\S+|PASSWORD\s+'[^']*'""", "…", reason)
            raise MillpondError(
                f"the database {source.name} ({source.where}) cannot be attached: {reason}",
                hint="does it run? `millpond status` tells of the platform's",
            ) from None
        self._attached.add(source.name)

    @contextmanager
    def explaining(self, query: Edited, watch: _Watch | None = None) -> Iterator[None]:
        """Say what is wrong in a user's words."""
        import duckdb

        if not self._shut:
            self.connection.execute("SET errors_as_json = true")
        try:
            yield
        except duckdb.InterruptException:
            if watch is not None and watch.rang:
                raise watch.error() from None
            raise KeyboardInterrupt from None
        except duckdb.Error as error:
            raise told(error, query, self) from None

    def _batches(self, found: Any, query: Edited, watch: _Watch, rows: int | None) -> Iterator[Any]:
        import pyarrow

        left = rows
        try:
            for batch in found:
                if left is not None:
                    batch = batch.slice(0, left)
                    left -= batch.num_rows
                yield batch
                if left == 0:
                    break
        except (pyarrow.ArrowException, OSError) as error:
            if watch.rang:
                raise watch.error() from None
            raise told(error, query, self) from None
        finally:
            watch.done()

    def _bring(self, found: Sequence[Word], texts: Sequence[str]) -> None:
        if any(text.startswith(_REMOTE) for text in texts):
            self.sign()
        lists = any(word.is_keyword("show") or _LISTS.fullmatch(word.value) for word in found)
        for word in found:
            if word.kind != "name":
                continue
            for extension, pattern in _FUNCTIONS.items():
                if pattern.fullmatch(word.value) and word.value not in self.sources:
                    self.load(extension)
            if source := self.sources.get(word.value):
                self.attach(source)
        if lists:
            self._bring_all()

    def _version(self, path: str) -> str:
        if self._shut:
            raise MillpondError(
                f"versions of repositories are not asked here: lake://{path}",
                hint="`millpond sql` reads them, and Iceberg tables have versions here, too",
            )
        from millpond.query.versions import brought

        return brought(path, self._environment)

    def _bring_all(self) -> None:
        for source in self.sources.values():
            self._attach_if_there(source)
        if not self._shut:
            self.unreached.update(self._adapters.show_all())
        if self._tables.known:
            try:
                self._ready_for_tables()
                self._tables.show_all()
            except MillpondError as error:
                self.unreached[DATABASE] = error.message

    def _ready_for_tables(self) -> None:
        self.load("iceberg")
        self.sign()

    def _show(self, mention: Mention, query: str) -> None:
        self._ready_for_tables()
        try:
            self._tables.show(mention)
        except MillpondError as error:
            where = Place(SOURCE, *Edited(query, ()).line_and_column(mention.start))
            raise QueryError(where, error.message, hint=error.hint) from None

    def _attach_if_there(self, source: Source) -> None:
        try:
            self.attach(source)
        except MillpondError as error:
            self.unreached[source.name] = error.message


class _Watch:
    """Interrupts a connection when its time is over."""

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self.seconds = seconds
        self.rang = False
        self._connection = connection
        self._timer = threading.Timer(seconds, self._ring) if seconds is not None else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _ring(self) -> None:
        self.rang = True
        self._connection.interrupt()

    def done(self) -> None:
        """The query has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def error(self) -> MillpondError:
        """What a query hears that was given up."""
        return MillpondError(
            f"the query was stopped after {self.seconds:g} s",
            hint="whoever set this limit can give it longer",
        )


def _texts(found: Sequence[Word]) -> list[str]:
    return [word.value for word in found if word.kind == "text"]
