"""What is in a dataset's files: columns with their types, counts and ranges, and a few rows, by DuckDB."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millpond.lake.datasets.dataset import Column
from millpond.model.errors import MillpondError

_READERS = {"csv": "read_csv_auto", "parquet": "read_parquet", "json": "read_json_auto"}
_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
    ".csv.zst": "csv",
    ".parquet": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json.gz": "json",
    ".jsonl.gz": "json",
}
_LONGEST = 200  # characters of a value that is shown


@dataclass(frozen=True)
class Profile:
    """What was found; `rows` is None where the format is not one that is read."""

    format: str
    rows: int | None = None
    columns: tuple[Column, ...] = ()
    samples: tuple[dict[str, Any], ...] = ()


def profile(files: Sequence[Path], *, samples: int = 5) -> Profile:
    """Look into files of one format, as one table; columns are matched by name.

    Args:
        samples: how many rows are shown.

    Raises:
        MillpondError: the files cannot be read as what their names say.
    """
    suffixes = {"".join(path.suffixes) for path in files}
    formats = {_FORMATS.get(suffix, suffix.lstrip(".") or "file") for suffix in suffixes}
    if len(formats) != 1 or not formats & set(_READERS):
        return Profile(", ".join(sorted(formats)))
    import duckdb

    (kind,) = formats
    options = "" if kind == "parquet" and len(files) == 1 else ", union_by_name = true"
    connection = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "custom_user_agent": "millpond"}
    )
    try:
        source = f"{_READERS[kind]}($1{options})"
        given = [[str(path) for path in files]]
        rows = connection.execute(f"SELECT count(*) FROM {source}", given).fetchone()
        summary = connection.execute(f"SUMMARIZE SELECT * FROM {source}", given)
        heads = [column[0] for column in summary.description]
        columns = tuple(_column(dict(zip(heads, row, strict=True))) for row in summary.fetchall())
        first = connection.execute(f"SELECT * FROM {source} LIMIT {int(samples)}", given)
        names = [column[0] for column in first.description]
        shown = tuple(
            {name: _shown(value) for name, value in zip(names, row, strict=True)} for row in first.fetchall()
        )
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0]
        raise MillpondError(
            f"the files cannot be read as {kind}: {reason}",
            hint="--no-profile tells of them without looking in",
        ) from None
    finally:
        connection.close()
    return Profile(kind, int(rows[0]) if rows else None, columns, shown)


def _column(row: dict[str, Any]) -> Column:
    numeric = row["avg"] is not None
    return Column(
        str(row["column_name"]),
        str(row["column_type"]),
        round(float(row["null_percentage"] or 0) / 100, 6),
        int(row["approx_unique"]) if row["approx_unique"] is not None else None,
        _text(row["min"]),
        _text(row["max"]),
        _text(row["avg"]) if numeric else None,
        _text(row["std"]) if numeric else None,
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)[:_LONGEST]


def _shown(value: Any) -> Any:
    """A value as JSON has it: what JSON has not as text, what is long cut."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, default=str)
        if isinstance(value, list | dict)
        else str(value)
    )
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
