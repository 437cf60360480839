"""Values of the port types as bytes, and back: the same value always gives the same bytes.

Runs on workers. pandas and pyarrow are imported when a table passes, not before.
"""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millpond.lake.reference import ModelReference, Reference
from millpond.model.errors import MillpondError

SMALL = ("json", "text", "number", "model")
_BY_SUFFIX = {".parquet": "table", ".csv": "table", ".json": "json", ".txt": "text", ".md": "text"}


@dataclass(frozen=True)
class Encoded:
    """Bytes, or a file that has them, and the number of rows where there are rows."""

    source: bytes | Path
    rows: int | None = None


def type_of(suffix: str) -> str:
    """The port type that an extension suggests."""
    return _BY_SUFFIX.get(suffix, "file")


def plain(value: Any, kind: str) -> Any:
    """A small value as plain JSON data.

    Raises:
        TypeError, ValueError: the value is not of this type.
    """
    if kind == "model":
        return ModelReference.of(value).as_dict()
    if kind == "number":
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"a number is expected, not {value.__class__.__name__}")
        return value
    if kind == "text":
        if not isinstance(value, str):
            raise TypeError(f"text is expected, not {value.__class__.__name__}")
        return value
    return json.loads(json.dumps(value, default=_json_default))


def encode(value: Any, kind: str, suffix: str, separator: str = ",") -> Encoded:
    """The bytes of a value.

    Args:
        value: a path is taken as a file whose bytes are right already, whatever the type.
        kind: the port type.
        suffix: the extension of the target, which decides the format of a table.
        separator: of CSV.

    Raises:
        TypeError, ValueError: the value is not of this type.
        MillpondError: a table's target is neither Parquet nor CSV.
    """
    if isinstance(value, Path):
        if not value.is_file():
            raise FileNotFoundError(f"{value} is not a file")
        return Encoded(value)
    if kind == "table":
        return _table(value, suffix, separator)
    if kind == "file":
        if isinstance(value, bytes | bytearray | memoryview):
            return Encoded(bytes(value))
        if isinstance(value, str) and Path(value).is_file():
            return Encoded(Path(value))
        raise TypeError(f"a path or bytes are expected, not {value.__class__.__name__}")
    if kind == "text":
        return Encoded(str(plain(value, kind)).encode())
    return Encoded((json.dumps(plain(value, kind), sort_keys=True, indent=1) + "\n").encode())


def decode(reference: Reference, data: bytes | Path) -> Any:
    """The value whose bytes these are; `data` is a file for tables and files."""
    options = reference.options or {}
    match reference.type:
        case "table":
            assert isinstance(data, Path)
            return _read_table(data, reference, options.get("separator", ","))
        case "text":
            return _bytes(data).decode("utf-8")
        case "model":
            return ModelReference.of(json.loads(_bytes(data)))
        case "json" | "number":
            return json.loads(_bytes(data))
    return data


def decode_value(reference: Reference) -> Any:
    """The value that travels in a reference."""
    return ModelReference.of(reference.value) if reference.type == "model" else reference.value


def _bytes(data: bytes | Path) -> bytes:
    return data.read_bytes() if isinstance(data, Path) else data


def _table(value: Any, suffix: str, separator: str) -> Encoded:
    import pandas
    import pyarrow
    import pyarrow.parquet

    if not isinstance(value, pandas.DataFrame | pyarrow.Table):
        raise TypeError(f"a table (pandas.DataFrame) is expected, not {value.__class__.__name__}")
    if suffix == ".parquet":
        table = value
        if isinstance(value, pandas.DataFrame):
            table = pyarrow.Table.from_pandas(value, preserve_index=False)
        buffer = io.BytesIO()
        pyarrow.parquet.write_table(table, buffer, compression="zstd")
        return Encoded(buffer.getvalue(), table.num_rows)
    if suffix == ".csv":
        frame = value if isinstance(value, pandas.DataFrame) else value.to_pandas()
        text = frame.to_csv(index=False, sep=separator, lineterminator="\n")
        return Encoded(text.encode(), len(frame))
    raise MillpondError(f"a table is written as .parquet or .csv, not {suffix or 'without an extension'}")


def _read_table(file: Path, reference: Reference, separator: str) -> Any:
    import pandas

    if reference.path.suffix == ".csv":
        return pandas.read_csv(file, sep=separator, low_memory=False)
    return pandas.read_parquet(file, engine="pyarrow")


def _json_default(value: Any) -> Any:
    if isinstance(value, ModelReference | Reference):
        return value.as_dict()
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"JSON is expected, and {value.__class__.__name__} is not")
