"""A query's rows in the form that was asked for, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from millpond.model.errors import MillpondError, UsageError, did_you_mean
from millpond.query.places import LAKE
from millpond.query.words import literal

FORMATS = ("table", "csv", "json", "jsonl", "parquet", "arrow")
_SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
}
_COPY = {
    "csv": "FORMAT csv, HEADER true",
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}


def format_of(output: str) -> str:
    """The format that an output's name tells by its extension.

    Raises:
        UsageError: it tells none.
    """
    suffix = Path(output).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UsageError(
            f"{output} does not tell its format",
            hint=did_you_mean(suffix, _SUFFIXES) if suffix else "end it in .parquet, or say --format",
        )
    return _SUFFIXES[suffix]


def write_file(reader: Any, style: str, target: Path) -> int:
    """Write rows into a local file; returns how many.

    Args:
        reader: a ``pyarrow.RecordBatchReader``.
        style: one of `FORMATS`, but ``table``.
    """
    import pyarrow

    counted = _Counted(reader)
    rows = pyarrow.RecordBatchReader.from_batches(reader.schema, iter(counted))
    if style == "arrow":
        with pyarrow.ipc.new_stream(str(target), reader.schema) as writer:
            for batch in rows:
                writer.write_batch(batch)
        return counted.rows
    import duckdb

    # A DuckDB of its own: the query's is busy handing out the rows.
    with duckdb.connect() as connection:
        connection.register("result", rows)
        try:
            connection.execute(f"COPY (FROM result) TO {literal(str(target))} ({_COPY[style]})")
        except duckdb.Error as error:
            if counted.error is not None:
                raise counted.error from None
            raise MillpondError(
                f"the result cannot be written as {style}: {str(error).splitlines()[0]}"
            ) from None
    return counted.rows


def write(reader: Any, style: str, output: str, environment: Mapping[str, str] | None = None) -> int:
    """Write rows to ``lake://bucket/path`` or into a local file, whole or not at all; returns how many.

    Raises:
        MillpondError: the place cannot be written to; what stood there still does.
    """
    from millpond.lake.reference import LakePath
    from millpond.lake.store import open_store

    if output.startswith((LAKE, "s3://")):
        path = LakePath.parse("s3://" + output.partition("://")[2])
        store = open_store(environment)
        with tempfile.TemporaryDirectory(prefix="millpond-sql-") as folder:
            made = Path(folder, "result")
            rows = write_file(reader, style, made)
            store.put(path, made)
        return rows
    target = Path(output).expanduser()
    with _beside(target) as made:
        rows = write_file(reader, style, made)
        made.replace(target)
    return rows


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A file in the same folder, gone afterwards unless it was moved."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    except OSError as error:
        raise MillpondError(f"cannot write {target}: {error.strerror}") from None
    os.close(handle)
    made = Path(name)
    made.chmod(0o644)
    try:
        yield made
    finally:
        with suppress(FileNotFoundError):
            made.unlink()


class _Counted:
    """Batches, counted as they pass; and why they ended early, as that is lost on the way through DuckDB."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader
        self.rows = 0
        self.error: MillpondError | None = None

    def __iter__(self) -> Iterator[Any]:
        try:
            for batch in self.reader:
                self.rows += batch.num_rows
                yield batch
        except MillpondError as error:
            self.error = error
            raise
