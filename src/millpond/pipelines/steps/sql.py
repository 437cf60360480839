"""A step that is a query: its inputs are tables by their names, and all that SQL reaches can be named."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Step
from millpond.pipelines.extension import Code, Keys, Problem, StepCall, StepKind
from millpond.pipelines.steps.files import digest_of_files

_OUTSIDE = re.compile(
    r"://|\.(?:parquet|csv|json)\b|\b(?:postgres|mysql|lake|iceberg|kafka|elasticsearch|sqlserver)\s*\."
    r"|elasticsearch_search|sqlserver_query|_scan\b|\bread_"
    r"|\bnow\s*\(|\brandom\s*\(|\bcurrent_",
    re.IGNORECASE,
)
"""What a query names beside its inputs, and what changes by itself."""


class SqlKeys(Keys):
    """The query, here or in a file beside the pipeline."""

    query: str | None = Field(default=None, description="The query, in DuckDB's SQL")
    file: str | None = Field(default=None, description="A file beside the pipeline that has the query")
    memory: Annotated[str, Field(pattern=r"^\d+(MB|GB)$")] | None = Field(
        default=None, description="The most memory of the query, such as `2GB`; what is more goes to disk"
    )


class SqlStep(StepKind):
    """Asks DuckDB. An input is a table by its port's name, values under ``with`` are ``getvariable('name')``.

    It is cached as any step where it reads nothing but its inputs. A query that names files, tables or
    databases itself runs every time, as nobody tells when they change.
    """

    keys = SqlKeys

    def check(self, step: Step, keys: SqlKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """One query, and one output that has its rows."""
        if (keys.query is None) == (keys.file is None):
            yield Problem(("use",), "a step of SQL has one query", "write query, or file")
        if keys.file is not None and not (folder / keys.file).is_file():
            yield Problem(("file",), f"there is no file {keys.file} beside the pipeline")
        if len(step.outputs) > 1:
            yield Problem(("outputs",), "a query has one output")
        for port, output in step.outputs.items():
            if output.type not in ("table", "json", "number", "text"):
                yield Problem(
                    ("outputs", port), f"a query gives no {output.type}", "table, json, number or text"
                )

    def code(self, keys: SqlKeys, folder: Path) -> Code:
        """The query."""
        text = _query(keys, folder)
        once = secrets.token_hex(8) if _OUTSIDE.search(text) else ""
        return Code(digest_of_files(folder, [keys.file] if keys.file else [], []) + once)

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Ask, and return all rows.

        Raises:
            QueryError: the query is wrong; MillpondError: what it names is not there, or its rows do not fit.
        """
        from millpond.query import Session
        from millpond.query.words import identifier, literal

        keys: SqlKeys = call.keys
        session = Session(folder=call.code, memory=keys.memory)
        connection = session.connection
        for port, reference in call.inputs.items():
            value = call.decode(port)
            connection.register(port, value if reference.type == "table" else _frame(port, value))
        for name, value in call.arguments.items():
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            word = str(value) if plain else literal(str(value))
            connection.execute(f"SET VARIABLE {identifier(name)} = {word}")
        table = session.reader(_query(keys, call.code)).read_all()
        call.context.log.info("%d rows of %d columns", table.num_rows, table.num_columns)
        return {port: _value(table, task.type) for port, task in call.outputs.items()}


def _query(keys: SqlKeys, folder: Path) -> str:
    return keys.query if keys.query is not None else (folder / str(keys.file)).read_text(encoding="utf-8")


def _frame(port: str, value: Any) -> Any:
    import pandas

    if isinstance(value, list) and all(isinstance(row, Mapping) for row in value):
        return pandas.DataFrame(value)
    if isinstance(value, list) and all(isinstance(item, pandas.DataFrame) for item in value):
        return pandas.concat(value, ignore_index=True)
    if isinstance(value, Mapping):
        return pandas.DataFrame([value])
    if isinstance(value, str | int | float):
        return pandas.DataFrame({"value": [value]})
    raise MillpondError(
        f"the input {port} is no table", hint="a query takes tables, small values, and lists of them"
    )


def _value(table: Any, kind: str) -> Any:
    if kind == "table":
        return table
    rows = table.to_pylist()
    if kind == "json":
        return json.loads(json.dumps(rows, default=str))
    if len(rows) != 1 or table.num_columns != 1:
        size = f"{len(rows)} rows of {table.num_columns} columns"
        raise MillpondError(
            f"the query gave {size}, and a {kind} is one value", hint="write type: table or json"
        )
    (found,) = rows[0].values()
    if kind == "text":
        return str(found)
    return found if isinstance(found, int | float) else float(found)
