"""The sinks ``synapse`` and ``sqlserver``: a table becomes one of Azure Synapse or SQL Server, by TDS.

Rows go as INSERT … SELECT … UNION ALL, the form that Synapse's dedicated pools take, too
(https://learn.microsoft.com/sql/t-sql/statements/insert-transact-sql). For many millions of rows Synapse's
own COPY INTO from files of Azure's storage is quicker.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, Literal

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.extension import Keys, Problem, Sink, StepCall
from millpond.pipelines.task import OutputTask
from millpond.query.sqlserver import bracketed, connected, refused

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_TYPES = {"b": "bit", "i": "bigint", "u": "numeric(20, 0)", "f": "float(53)", "M": "datetime2(6)"}
_TEXT, _LONGEST = "nvarchar(4000)", 4000
_ROWS = 500
_WRITTEN = "[dbo].[millpond_written]"


class SynapseKeys(Keys):
    """Which table, and what becomes of its rows."""

    table: str = Field(description="`NAME` or `SCHEMA.NAME`; dbo is the schema when left out")
    mode: Literal["replace", "append"] = Field(
        default="replace", description="Whether the rows that are there go first; append adds every time"
    )


class SynapseSink(Sink):
    """Writes a table in one transaction, so that it has the old rows or the new ones.

    A table that is not there is made. What was written is noted by the digest of its rows in the table
    ``millpond_written``, by which a later run knows whether it still stands. ``SQLCMDSERVER`` and the others
    of the interface ``sqlserver`` say where.
    """

    keys = SynapseKeys

    def check(self, port_type: str, keys: SynapseKeys) -> Iterable[Problem]:
        """A table, with a name that needs no quotes."""
        if port_type != "table":
            yield Problem(("type",), f"a {port_type} is no table", "write type: table")
        parts = keys.table.split(".")
        if "${" not in keys.table and (len(parts) > 2 or not all(_NAME.fullmatch(part) for part in parts)):
            yield Problem(("table",), f"{keys.table} cannot be the name of a table", "letters, digits and _")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Replace or append the rows; see `Sink.write`.

        Raises:
            MillpondError: the server cannot be reached, or refuses.
        """
        import pymssql

        frame = value.to_pandas() if hasattr(value, "to_pandas") else value
        keys = SynapseKeys.model_validate(port.keys)
        schema, table = _place(keys.table)
        target, noted = f"{bracketed(schema)}.{bracketed(table)}", _literal(f"{schema}.{table}")
        kinds = {
            str(name): _TYPES.get(getattr(frame[name].dtype, "kind", "O"), _TEXT) for name in frame.columns
        }
        made = ", ".join(f"{bracketed(name)} {kind} NULL" for name, kind in kinds.items())
        text = frame.to_csv(index=False, header=False, lineterminator="\n")
        digest = hashlib.sha256(f"{list(frame.columns)}\n{text}".encode()).hexdigest()
        # Synapse makes no table within a transaction, so its limits are told one by one.
        with closing(connected(os.environ, autocommit=True)) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(f"IF OBJECT_ID({noted}, N'U') IS NULL CREATE TABLE {target} ({made})")
                cursor.execute(
                    f"IF OBJECT_ID(N'dbo.millpond_written', N'U') IS NULL CREATE TABLE {_WRITTEN}"
                    " ([name] nvarchar(250) NOT NULL, [digest] nvarchar(64) NOT NULL)"
                )
                cursor.execute("BEGIN TRANSACTION")
                if keys.mode == "replace":
                    cursor.execute(f"DELETE FROM {target}")
                for statement in _inserts(frame, target, kinds):
                    cursor.execute(statement)
                cursor.execute(f"DELETE FROM {_WRITTEN} WHERE [name] = {noted}")
                cursor.execute(
                    f"INSERT INTO {_WRITTEN} ([name], [digest]) SELECT {noted}, {_literal(digest)}"
                )
                cursor.execute("COMMIT TRANSACTION")
            except pymssql.Error as error:
                # Closing the connection takes back what was not committed.
                raise refused(os.environ["SQLCMDSERVER"].replace(",", ":"), error) from None
        return Reference(
            f"{port.sink}:{schema}.{table}", digest[:32], digest, len(text), "reference", len(frame)
        )

    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """Whether the table was last written with the rows of this digest."""
        import pymssql

        noted = _literal(".".join(_place(SynapseKeys.model_validate(port.keys).table)))
        with closing(connected(os.environ)) as connection, connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT [digest] FROM {_WRITTEN} WHERE [name] = {noted}")
                row = cursor.fetchone()
            except pymssql.Error:
                return False
        return bool(row and row[0] == reference.sha256)


def _place(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema or "dbo", table


def _inserts(frame: Any, target: str, kinds: dict[str, str]) -> Iterator[str]:
    names = ", ".join(bracketed(name) for name in kinds)
    types = list(kinds.values())
    rows = list(frame.itertuples(index=False, name=None))
    for start in range(0, len(rows), _ROWS):
        lines: list[str] = []
        for row in rows[start : start + _ROWS]:
            values = [_literal(value) for value in row]
            if not lines:
                # The first row gives the columns their types, also where it has nothing.
                values = [f"CAST({value} AS {kind})" for value, kind in zip(values, types, strict=True)]
            lines.append("SELECT " + ", ".join(values))
        yield f"INSERT INTO {target} ({names}) " + " UNION ALL ".join(lines)


def _literal(value: Any) -> str:
    """A value as T-SQL writes it."""
    import pandas

    if value is None or value is pandas.NaT or value is pandas.NA or value != value:
        return "NULL"
    if hasattr(value, "isoformat"):
        return f"'{value.isoformat()}'"
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | float):
        if math.isinf(value):
            raise MillpondError("SQL Server has no infinite number", hint="replace it before the sink")
        return repr(value)
    text = str(value)
    if len(text) > _LONGEST:
        raise MillpondError(
            f"a text of {len(text)} characters is longer than the {_LONGEST} that a column takes",
            hint="write the table to the lake, or leave the column out",
        )
    # A backslash at the end of a line would join it with the next one.
    return "N'" + re.sub(r"\\(?=\r?\n)", r"\\' + N'", text.replace("'", "''")) + "'"
