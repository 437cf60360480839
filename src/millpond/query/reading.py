"""Queries that only read: what a server lets people ask."""

from __future__ import annotations

from millpond.model.errors import MillpondError


def only_reads(query: str) -> None:
    """Make sure that a query is one statement that reads.

    Raises:
        MillpondError: it is not.
    """
    import duckdb

    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error:
        # DuckDB will not take it either, and says what is wrong with its place.
        return
    if len(statements) != 1:
        raise MillpondError("one statement at a time is asked here", hint="send each by itself")
    kind = statements[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise MillpondError(
            f"{str(kind).rpartition('.')[2]} is not asked here, where SQL only reads",
            hint="`millpond sql --output` writes into the lake",
        )
