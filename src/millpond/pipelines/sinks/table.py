"""The sink ``table``: an output becomes a snapshot of an Iceberg table in the lake's own catalogue."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.pipelines.extension import Keys, Problem, Sink, StepCall
from millpond.pipelines.task import OutputTask

_NAME = re.compile(r"[a-z_][a-z0-9_-]*(?:\.[a-z_][a-z0-9_-]*)?")


class TableKeys(Keys):
    """Which table, and what becomes of its rows."""

    table: str = Field(description="`NAMESPACE.NAME`; made where it is not there")
    mode: Literal["overwrite", "append"] = Field(
        default="overwrite", description="Whether the rows that are there stay; earlier snapshots always do"
    )
    branch: str | None = Field(default=None, description="A branch of the table, which has to be there")


class TableSink(Sink):
    """Puts a table's rows into an Iceberg table; readers see them all at once."""

    keys = TableKeys

    def check(self, port_type: str, keys: TableKeys) -> Iterable[Problem]:
        """A table, with a name."""
        if port_type != "table":
            yield Problem(("type",), f"a {port_type} is no table", "write type: table")
        if "${" not in keys.table and not _NAME.fullmatch(keys.table):
            yield Problem(("table",), f"{keys.table} cannot be the name of a table", "write namespace.name")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Commit the rows; see `Sink.write`.

        Raises:
            MillpondError: the catalogue cannot be reached, or the columns do not fit the table's.
        """
        from millpond.lake.tables import table
        from millpond.lake.tables.table import arrow

        keys = TableKeys.model_validate(port.keys)
        rows = arrow(value)
        if rows.schema.metadata:
            rows = rows.replace_schema_metadata(None)  # what pandas noted is of no use to others
        found = table(keys.table)
        if keys.mode == "append":
            found.append(rows, branch=keys.branch)
        else:
            found.overwrite(rows, branch=keys.branch)
        return Reference(
            f"iceberg:{keys.table}", _snapshot(found, keys), None, None, "reference", rows.num_rows
        )

    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """Whether nobody has changed the table since."""
        from millpond.lake.tables import table

        keys = TableKeys.model_validate(port.keys)
        found = table(keys.table)
        return bool(found.exists()) and _snapshot(found, keys) == reference.version


def _snapshot(found: Any, keys: TableKeys) -> str:
    return str(found.refs()[keys.branch or "main"]["snapshot"])
