"""A query's rows as a table for the eye."""

from __future__ import annotations

import json
import sys
from typing import Any

from millpond.cli.style import cut, faint, width

_WIDEST = 60


def lines(table: Any) -> list[str]:
    """The lines of a table: columns by their names, numbers to the right, no value as NULL.

    Args:
        table: a ``pyarrow.Table``.
    """
    if table.num_columns == 0:
        return []
    if table.column_names == ["explain_key", "explain_value"]:
        return [line for plan in table.column(1).to_pylist() for line in str(plan).splitlines()]
    wide = not sys.stdout.isatty()
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells = [_cell(value, wide) for value in column.to_pylist()]
        most = max([width(name), *(width(cell) for cell in cells)])
        right = _numeric(str(column.type))
        columns.append([_padded(cell, most, right) for cell in [name, *cells]])
    rows = ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
    return [faint(rows[0]), *rows[1:]]


def _numeric(kind: str) -> bool:
    return kind.startswith(("int", "uint", "float", "double", "halffloat", "decimal"))


def _cell(value: Any, wide: bool) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False, default=str)
    elif isinstance(value, bytes):
        text = value.hex()
    else:
        text = str(value)
    text = text.replace("\n", "⏎").replace("\t", " ")
    return text if wide else cut(text, _WIDEST)


def _padded(cell: str, most: int, right: bool) -> str:
    space = " " * (most - width(cell))
    return space + cell if right else cell + space
