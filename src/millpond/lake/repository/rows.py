"""What differs between two versions of a table: rows that were added, removed, changed.

Rows are numbered so that equal ones have equal numbers, column by column, which stays quick for millions of
them and needs nothing but pyarrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from millpond.lake.repository.tree import Entry
from millpond.model.errors import MillpondError, did_you_mean

if TYPE_CHECKING:
    from millpond.lake.repository.repository import Repository

_TABLES = (".csv", ".tsv", ".parquet")


def is_table(path: str) -> bool:
    """Whether a file's rows can be compared."""
    return path.lower().endswith(_TABLES)


def compare(
    repository: Repository, was: Entry, now: Entry, *, keys: Sequence[str] = (), samples: int = 3
) -> dict[str, Any]:
    """The rows of two versions of a table, of the columns that both have.

    Args:
        keys: the columns that rows are known by. Without them a row that changed counts as one that was
            removed and one that was added.
        samples: how many rows to show of each.

    Returns:
        ``added``, ``removed``, ``changed`` and ``same`` as counts, ``new_columns``, ``lost_columns``,
        ``keys``, and ``samples``: rows by what became of them, for those changed ``{"was": …, "is": …}``.

    Raises:
        MillpondError: a file is no table, or the keys do not tell its rows apart.
    """
    import pyarrow
    from pyarrow import compute

    old, new = _read(repository, was), _read(repository, now)
    shared = [name for name in old.column_names if name in new.column_names]
    for key in keys:
        if key not in shared:
            raise MillpondError(
                f"{now.path} has no column {key} on both sides", hint=did_you_mean(key, shared)
            )
    columns = {name: _codes(old[name], new[name]) for name in shared}
    count = old.num_rows + new.num_rows
    row = _numbers([columns[name] for name in shared], count)
    by = _numbers([columns[name] for name in keys], count) if keys else row
    sides = pyarrow.array([1] * old.num_rows + [0] * new.num_rows, pyarrow.int64())
    table = pyarrow.table(
        {
            "by": by,
            "row": row,
            "old": sides,
            "new": compute.subtract(1, sides),
            "place": pyarrow.array(range(count), pyarrow.int64()),
        }
    )
    found = table.group_by("by").aggregate(
        [("old", "sum"), ("new", "sum"), ("row", "min"), ("row", "max"), ("place", "min"), ("place", "max")]
    )
    before, after = found["old_sum"], found["new_sum"]
    if keys and count and (compute.max(before).as_py() > 1 or compute.max(after).as_py() > 1):
        raise MillpondError(
            f"{', '.join(keys)} does not tell the rows of {now.path} apart",
            hint="name more columns with --key",
        )
    both = compute.min_element_wise(before, after)
    differs = compute.and_(compute.greater(both, 0), compute.not_equal(found["row_min"], found["row_max"]))
    shown = _Shown(old, new, shared, samples)
    changed = found.filter(differs) if keys else found.slice(0, 0)
    made = {
        "keys": list(keys),
        "added": _sum(compute.subtract(after, both)),
        "removed": _sum(compute.subtract(before, both)),
        "changed": changed.num_rows,
        "same": _sum(both) - changed.num_rows,
        "new_columns": [name for name in new.column_names if name not in shared],
        "lost_columns": [name for name in old.column_names if name not in shared],
    }
    made["samples"] = {
        "added": shown.rows(found.filter(compute.greater(after, before))["place_max"]),
        "removed": shown.rows(found.filter(compute.greater(before, after))["place_min"]),
        "changed": shown.pairs(changed["place_min"], changed["place_max"]),
    }
    return made


def _read(repository: Repository, entry: Entry) -> Any:
    from pyarrow import ArrowException, BufferReader, csv, parquet

    data = repository.reader.contents(entry.blobs)
    source = BufferReader(b"".join(data[blob.id] for blob in entry.blobs))
    try:
        if entry.path.lower().endswith(".parquet"):
            # read_table reads ahead in threads, which kill a process that ends before they do.
            return parquet.ParquetFile(source).read()
        separator = "\t" if entry.path.lower().endswith(".tsv") else ","
        return csv.read_csv(source, parse_options=csv.ParseOptions(delimiter=separator))
    except ArrowException as error:
        raise MillpondError(f"{entry.path} cannot be read as a table: {str(error).splitlines()[0]}") from None


def _codes(old: Any, new: Any) -> tuple[Any, int]:
    """A column of both versions as numbers, equal for equal values; and how many there are."""
    import pyarrow

    if old.type != new.type or pyarrow.types.is_nested(old.type):
        old, new = _text(old), _text(new)
    both = pyarrow.chunked_array([*old.chunks, *new.chunks], type=old.type)
    encoded = both.combine_chunks().dictionary_encode("encode")
    if isinstance(encoded, pyarrow.ChunkedArray):
        encoded = encoded.combine_chunks()
    return encoded.indices.cast(pyarrow.int64()), max(len(encoded.dictionary), 1)


def _text(column: Any) -> Any:
    import pyarrow

    texts = [None if value is None else str(value) for value in column.to_pylist()]
    return pyarrow.chunked_array([pyarrow.array(texts, pyarrow.string())])


def _numbers(columns: Sequence[tuple[Any, int]], count: int) -> Any:
    """Rows as numbers, equal for rows with equal values in all columns."""
    import pyarrow
    from pyarrow import compute

    made = pyarrow.array([0] * count, pyarrow.int64())
    for codes, values in columns:
        # Numbered anew after each column, so that the product stays below the square of the rows.
        joint = compute.add(compute.multiply(made, values), codes)
        made = joint.dictionary_encode().indices.cast(pyarrow.int64())
    return made


def _sum(column: Any) -> int:
    from pyarrow import compute

    return int(compute.sum(column).as_py() or 0)


class _Shown:
    """Rows as they are shown, by their places: first those of the old version, then those of the new one."""

    def __init__(self, old: Any, new: Any, columns: list[str], most: int) -> None:
        self._old, self._new = old.select(columns), new.select(columns)
        self._most = most

    def rows(self, places: Any) -> list[dict[str, Any]]:
        """Some rows."""
        return [self._row(place) for place in sorted(places.to_pylist())[: self._most]]

    def pairs(self, before: Any, after: Any) -> list[dict[str, Any]]:
        """Some rows as they were and as they are."""
        both = sorted(zip(before.to_pylist(), after.to_pylist(), strict=True))[: self._most]
        return [{"was": self._row(was), "is": self._row(now)} for was, now in both]

    def _row(self, place: int) -> dict[str, Any]:
        old = self._old.num_rows
        table, at = (self._old, place) if place < old else (self._new, place - old)
        return dict(table.slice(at, 1).to_pylist()[0])
