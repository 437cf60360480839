"""The sink ``postgres``: a table becomes a table of the database that PGHOST and its like name."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.extension import Keys, Problem, Sink, StepCall
from millpond.pipelines.task import OutputTask

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_TYPES = {"b": "boolean", "i": "bigint", "u": "numeric", "f": "double precision", "M": "timestamp"}


class PostgresKeys(Keys):
    """Which table, and what becomes of its rows."""

    table: str = Field(description="`NAME` or `SCHEMA.NAME`, in lower case letters, digits and _")
    mode: Literal["replace", "append"] = Field(
        default="replace", description="Whether the rows that are there go first; append adds every time"
    )


class PostgresSink(Sink):
    """Writes a table in one transaction, so that readers see the old rows or the new ones.

    The table is made where it is not there, with a comment that has the digest of its rows; by that a later
    run knows whether it still holds them. ``PGHOST``, ``PGUSER`` and the others say where.
    """

    keys = PostgresKeys

    def check(self, port_type: str, keys: PostgresKeys) -> Iterable[Problem]:
        """A table, with a name that needs no quotes."""
        if port_type != "table":
            yield Problem(("type",), f"a {port_type} is no table", "write type: table")
        parts = keys.table.split(".")
        if "${" not in keys.table and (len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts)):
            yield Problem(("table",), f"{keys.table} cannot be the name of a table", "use lower case and _")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Replace or append the rows; see `Sink.write`.

        Raises:
            MillpondError: the database cannot be reached, or refuses.
        """
        import pandas
        import psycopg2

        frame = value if isinstance(value, pandas.DataFrame) else value.to_pandas()
        keys = PostgresKeys.model_validate(port.keys)
        text = frame.to_csv(index=False, header=False, lineterminator="\n")
        digest = hashlib.sha256(f"{list(frame.columns)}\n{text}".encode()).hexdigest()
        table = ".".join(_quoted(part) for part in keys.table.split("."))
        columns = ", ".join(f"{_quoted(name)} {_type(frame[name])}" for name in frame.columns)
        names = ", ".join(_quoted(name) for name in frame.columns)
        try:
            with _connection() as connection, connection.cursor() as cursor:
                if "." in keys.table:
                    cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(keys.table.split('.')[0])}")
                if keys.mode == "replace":
                    cursor.execute(f"DROP TABLE IF EXISTS {table}")
                cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
                cursor.copy_expert(f"COPY {table} ({names}) FROM STDIN WITH (FORMAT csv)", io.StringIO(text))
                cursor.execute(f"COMMENT ON TABLE {table} IS %s", (f"millpond {digest}",))
        except psycopg2.Error as error:
            reason = str(error).strip().splitlines()[0]
            raise MillpondError(f"the table {keys.table} cannot be written: {reason}") from None
        return Reference(f"postgres:{keys.table}", digest[:32], digest, len(text), "reference", len(frame))

    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """Whether the table still has the rows of this digest, as its comment says."""
        table = ".".join(_quoted(part) for part in PostgresKeys.model_validate(port.keys).table.split("."))
        with _connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", (table,))
            row = cursor.fetchone()
        return bool(row and row[0] == f"millpond {reference.sha256}")


class _connection:  # noqa: N801 - used as a function
    """A connection to the database of the environment: committed when all went well, then closed."""

    def __enter__(self) -> Any:
        import psycopg2

        try:
            self._connection = psycopg2.connect("", connect_timeout=10)
        except psycopg2.OperationalError as error:
            raise MillpondError(
                f"the database cannot be reached: {str(error).strip().splitlines()[0]}",
                hint="PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE say where it is",
            ) from None
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._connection.commit()
        self._connection.close()


def _quoted(name: Any) -> str:
    return '"' + str(name).replace('"', '""') + '"'


def _type(column: Any) -> str:
    return _TYPES.get(getattr(column.dtype, "kind", "O"), "text")
