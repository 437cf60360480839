"""What drivers ask of a database beside queries: its catalogues, schemas, tables, and what it is.

The columns are fixed by the protocol. Source: FlightSql.proto, the comments of ``CommandGet…``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from millpond import __version__
from millpond.query.server.messages import given
from millpond.query.session import Session

_UNION = pa.dense_union(
    [
        pa.field("string_value", pa.string()),
        pa.field("bool_value", pa.bool_()),
        pa.field("bigint_value", pa.int64()),
        pa.field("int32_bitmask", pa.int32()),
        pa.field("string_list", pa.list_(pa.string())),
        pa.field("int32_to_int32_list_map", pa.map_(pa.int32(), pa.list_(pa.int32()))),
    ]
)
_TABLE = pa.schema(
    [
        pa.field("catalog_name", pa.string()),
        pa.field("db_schema_name", pa.string()),
        pa.field("table_name", pa.string(), nullable=False),
        pa.field("table_type", pa.string(), nullable=False),
    ]
)
SCHEMAS = {
    "CommandGetCatalogs": pa.schema([pa.field("catalog_name", pa.string(), nullable=False)]),
    "CommandGetDbSchemas": pa.schema(
        [
            pa.field("catalog_name", pa.string()),
            pa.field("db_schema_name", pa.string(), nullable=False),
        ]
    ),
    "CommandGetTables": _TABLE,
    "CommandGetTableTypes": pa.schema([pa.field("table_type", pa.string(), nullable=False)]),
    "CommandGetSqlInfo": pa.schema(
        [pa.field("info_name", pa.uint32(), nullable=False), pa.field("value", _UNION, nullable=False)]
    ),
}
_TYPE = "TABLE"
# SqlInfo of the protocol: name, version, Arrow's version, read only, what quotes identifiers.
_INFO: dict[int, str | bool] = {0: "Millpond SQL", 1: __version__, 2: pa.__version__, 3: True, 504: '"'}


def schema_of(kind: str, command: Any) -> pa.Schema:
    """The columns of a command's answer."""
    if kind == "CommandGetTables" and command.include_schema:
        return _TABLE.append(pa.field("table_schema", pa.binary(), nullable=False))
    return SCHEMAS[kind]


def rows(kind: str, command: Any, session: Session) -> pa.Table:
    """A command's answer."""
    schema = schema_of(kind, command)
    if kind == "CommandGetTableTypes":
        return pa.Table.from_pylist([{"table_type": _TYPE}], schema)
    if kind == "CommandGetSqlInfo":
        return _info(command.info)
    found = [tuple(name.split(".", 2)) for name in session.tables()]
    if kind == "CommandGetCatalogs":
        return pa.Table.from_pylist(
            [{"catalog_name": name} for name in sorted({one[0] for one in found})], schema
        )
    catalogue, pattern = given(command, "catalog"), given(command, "db_schema_filter_pattern")
    found = [one for one in found if catalogue in (None, one[0])]
    found = _like(found, 1, pattern)
    if kind == "CommandGetDbSchemas":
        pairs = sorted({one[:2] for one in found})
        return pa.Table.from_pylist([{"catalog_name": c, "db_schema_name": s} for c, s in pairs], schema)
    found = _like(found, 2, given(command, "table_name_filter_pattern"))
    if command.table_types and _TYPE not in command.table_types:
        found = []
    listed = [
        {"catalog_name": c, "db_schema_name": s, "table_name": t, "table_type": _TYPE}
        for c, s, t in sorted(found)
    ]
    if command.include_schema:
        for one in listed:
            name = ".".join(f'"{one[part]}"' for part in ("catalog_name", "db_schema_name", "table_name"))
            one["table_schema"] = session.schema(f"FROM {name}").serialize().to_pybytes()
    return pa.Table.from_pylist(listed, schema)


def _like(found: list[tuple[str, ...]], part: int, pattern: str | None) -> list[tuple[str, ...]]:
    """Those of which a part is like a pattern with ``%`` and ``_``."""
    if pattern is None:
        return found
    text = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return [one for one in found if re.fullmatch(text, one[part], re.DOTALL)]


def _info(wanted: Iterable[int]) -> pa.Table:
    names = [name for name in (list(wanted) or list(_INFO)) if name in _INFO]
    texts = [str(_INFO[name]) for name in names if isinstance(_INFO[name], str)]
    flags = [bool(_INFO[name]) for name in names if not isinstance(_INFO[name], str)]
    kinds, offsets, seen = [], [], [0, 0]
    for name in names:
        kind = 0 if isinstance(_INFO[name], str) else 1
        kinds.append(kind)
        offsets.append(seen[kind])
        seen[kind] += 1
    children = [
        pa.array(texts, pa.string()),
        pa.array(flags, pa.bool_()),
        *(pa.array([], _UNION.field(index).type) for index in range(2, _UNION.num_fields)),
    ]
    values = pa.UnionArray.from_dense(
        pa.array(kinds, pa.int8()),
        pa.array(offsets, pa.int32()),
        children,
        [_UNION.field(index).name for index in range(_UNION.num_fields)],
    )
    return pa.Table.from_arrays([pa.array(names, pa.uint32()), values], schema=SCHEMAS["CommandGetSqlInfo"])
