"""SQL Server and what speaks its protocol, TDS: tables in a query, and the connection that writes go by.

DuckDB's extension for it is in no package registry, so the driver ``pymssql`` reads. Where it is, is told by
the names of ``sqlcmd`` (https://learn.microsoft.com/sql/tools/sqlcmd/sqlcmd-use-scripting-variables).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from millpond.model.errors import MillpondError
from millpond.query.adapters import Rows
from millpond.query.words import words

_BATCH = 20_000
_REACH = 10
"""Seconds in which a server has to answer a connection."""
_NEAR = ("127.0.0.1", "localhost", "::1")
_MISSING = 208
"""The number of SQL Server's error for a table that is not there."""
_TYPES = {
    "bit": "bool_",
    "tinyint": "int16",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "real": "float32",
    "float": "float64",
    "date": "date32",
    "binary": "binary",
    "varbinary": "binary",
    "image": "binary",
    "timestamp": "binary",
    "rowversion": "binary",
}


class SqlServer:
    """Reads tables whole, ``sqlserver.dbo.orders``, or what ``sqlserver_query('select …')`` gives.

    Args:
        environment: names the server, the database and the login.
    """

    name = "sqlserver"
    function: str | None = "sqlserver_query"
    arguments = 1
    depth = 2

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.where = environment["SQLCMDSERVER"].removeprefix("tcp:").replace(",", ":")

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> SqlServer | None:
        """The one that the environment names; None where it names none."""
        return cls(environment) if environment.get("SQLCMDSERVER") else None

    def names(self) -> list[str]:
        """Its tables and views, each with its schema.

        Raises:
            MillpondError: the server is not reached, or refuses.
        """
        query = "SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES"
        with closing(connected(self._environment)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return sorted(f"{schema}.{table}" for schema, table in cursor.fetchall())

    def read(self, name: Sequence[str], chosen: Sequence[str]) -> Rows | None:
        """The rows of a table, or of a query that the server is to answer; see `Adapter.read`.

        Raises:
            MillpondError: the server is not reached, or refuses; or the query is none that reads.
        """
        import pymssql

        query = chosen[0] if chosen else f"SELECT * FROM {bracketed(name[0])}.{bracketed(name[1])}"
        if chosen and not words(query)[:1][0].is_keyword("select", "with"):
            raise MillpondError("sqlserver_query only reads", hint="begin the query with SELECT or WITH")
        connection = connected(self._environment)
        try:
            cursor = connection.cursor()
            cursor.execute(f"EXEC sp_describe_first_result_set N'{query.replace(chr(39), chr(39) * 2)}'")
            columns = [column[0] for column in cursor.description]
            found = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
            cursor.execute(query)
        except pymssql.Error as error:
            connection.close()
            if error.args and error.args[0] == _MISSING and not chosen:
                return None
            raise refused(self.where, error) from None
        schema = _schema(found)
        return Rows(schema, self._batches(connection, cursor, schema))

    def _batches(self, connection: Any, cursor: Any, schema: Any) -> Iterator[Any]:
        import pyarrow
        import pymssql

        try:
            while rows := cursor.fetchmany(_BATCH):
                columns = [
                    pyarrow.array([_plain(value, field.type) for value in column], field.type)
                    for column, field in zip(zip(*rows, strict=True), schema, strict=True)
                ]
                yield pyarrow.table(columns, schema=schema)
        except pymssql.Error as error:
            raise refused(self.where, error) from None
        finally:
            # Whatever the query did besides reading is taken back.
            connection.rollback()
            connection.close()


def connected(environment: Mapping[str, str], *, autocommit: bool = False) -> Any:
    """A connection of ``pymssql``, encrypted unless it stays on this machine.

    Raises:
        MillpondError: the server is not named or not reached, or refuses.
    """
    import pymssql

    server = environment.get("SQLCMDSERVER", "").removeprefix("tcp:")
    if not server:
        raise MillpondError(
            "no SQL Server is known here",
            hint="name it as sqlserver under the flavour's external; SQLCMDSERVER says where it is",
        )
    host, _, port = server.partition(",")
    try:
        return pymssql.connect(
            server=host,
            port=port or "1433",
            user=environment.get("SQLCMDUSER", ""),
            password=environment.get("SQLCMDPASSWORD", ""),
            database=environment.get("SQLCMDDBNAME", ""),
            login_timeout=_REACH,
            appname="millpond",
            charset="UTF-8",
            autocommit=autocommit,
            encryption="request" if host in _NEAR else "require",
        )
    except pymssql.Error as error:
        raise refused(server.replace(",", ":"), error) from None


def refused(where: str, error: Any) -> MillpondError:
    """The error that a user sees for one of the driver, which says everything twice."""
    text = error.args[-1] if error.args else error
    text = text[-1] if isinstance(text, tuple) else text
    said = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    reason = said.split("DB-Lib error message")[0].strip().rstrip(".") or said.strip()
    return MillpondError(
        f"SQL Server at {where} refused: {reason.splitlines()[0]}",
        hint="SQLCMDSERVER, SQLCMDDBNAME, SQLCMDUSER and SQLCMDPASSWORD say where, and who one is",
    )


def bracketed(name: str) -> str:
    """A name as SQL Server writes it, whatever is in it."""
    return "[" + name.replace("]", "]]") + "]"


def _schema(described: Sequence[Mapping[str, Any]]) -> Any:
    import pyarrow

    fields = []
    for number, column in enumerate(described, 1):
        kind, _, rest = str(column["system_type_name"]).partition("(")
        numbers = [int(part) for part in re.findall(r"\d+", rest)]
        if kind in ("decimal", "numeric"):
            found = pyarrow.decimal128(*numbers)
        elif kind in ("money", "smallmoney"):
            found = pyarrow.decimal128(19, 4)
        elif kind in ("datetime", "datetime2", "smalldatetime"):
            found = pyarrow.timestamp("us")
        elif kind == "time":
            found = pyarrow.time64("us")
        else:
            found = getattr(pyarrow, _TYPES.get(kind, "string"))()
        fields.append((column["name"] or f"column{number}", found))
    return pyarrow.schema(fields)


def _plain(value: Any, kind: Any) -> Any:
    """A value as Arrow takes it; what it has no type for is a text."""
    text = str(kind) == "string"
    if not text or value is None or isinstance(value, str):
        return value
    return str(value) if isinstance(value, uuid.UUID) or not isinstance(value, bytes) else value.hex()
