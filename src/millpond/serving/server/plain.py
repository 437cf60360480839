"""Requests that are as plain as most are, read straight into a table.

Each column once, in the signature's order, a plain number or string per row, nothing asked beyond the
prediction: then the way over tensors, whose purpose is to make sense of all else, gives the same table at
several times the cost. What is not plain is None here and goes that way, to be understood or refused.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.signature import Field, Signature
from millpond.serving.server.table import Table
from millpond.serving.server.tensors import Request

_KINDS: dict[str, frozenset[type]] = {
    "float64": frozenset((float, int)),
    "int64": frozenset((int,)),
    "int32": frozenset((int,)),
    "object": frozenset((str,)),
}
_PLAIN_BODY = {"inputs", "id", "parameters"}
_PLAIN_PARAMETERS: tuple[Any, ...] = (None, {}, {"content_type": "pd"})


class Plain:
    """Reads the plain requests for one signature; there are none for tensors or columns of anything."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        self._names = [field.name for field in signature.inputs]
        kinds = [_kind(field) for field in signature.inputs]
        self._able = signature.known and not signature.tensors and signature.exact and None not in kinds
        self._kinds = [kind or "" for kind in kinds]
        self._allowed = [_KINDS.get(kind, frozenset()) for kind in self._kinds]
        self._known = frozenset(self._names)

    def v2(self, body: Any) -> Request | None:
        """The request of a V2 body, if it is plain."""
        if not self._able or type(body) is not dict or not body.keys() <= _PLAIN_BODY:
            return None
        inputs, identity = body.get("inputs"), body.get("id")
        if type(inputs) is not list or len(inputs) != len(self._names):
            return None
        if body.get("parameters") not in _PLAIN_PARAMETERS or not (identity is None or type(identity) is str):
            return None
        columns = []
        try:
            for item, name in zip(inputs, self._names, strict=True):
                data, shape = item["data"], item["shape"]
                if len(item) != 4 or item["name"] != name or item["datatype"] not in DTYPES:
                    return None
                if type(data) is not list or type(shape) is not list or shape[0] != len(data):
                    return None
                if type(shape[0]) is not int or len(shape) > 2:
                    return None
                if len(shape) == 2 and (type(shape[1]) is not int or shape[1] != 1):
                    return None
                columns.append(data)
        except (TypeError, LookupError):  # no object, a key that is not there, one that cannot be looked up
            return None
        return self._request(columns, identity)

    def v1(self, body: Any) -> Request | None:
        """The request of a V1 body, if it is plain: rows as lists in the signature's order, or as objects."""
        if not self._able or type(body) is not dict or len(body) != 1:
            return None
        rows = body.get("instances")
        if type(rows) is not list or not rows:
            return None
        if type(rows[0]) is dict:
            if any(type(row) is not dict or row.keys() != self._known for row in rows):
                return None
            return self._request([[row[name] for row in rows] for name in self._names], None)
        width = len(self._names)
        if width < 2 or any(type(row) is not list or len(row) != width for row in rows):
            return None
        return self._request([list(column) for column in zip(*rows, strict=True)], None)

    def _request(self, columns: list[list[Any]], identity: str | None) -> Request | None:
        rows = len(columns[0])
        if not rows:
            return None
        for column, allowed in zip(columns, self._allowed, strict=True):
            if len(column) != rows:
                return None
            if rows == 1:
                if type(column[0]) not in allowed:
                    return None
            elif not allowed.issuperset(map(type, column)):
                return None
        try:
            return Request([], id=identity, table=self._table(columns, rows))
        except OverflowError:  # a whole number beyond the column's type
            return None

    def _table(self, columns: list[list[Any]], rows: int) -> Table:
        alike = self._signature.alike
        if alike is not None:
            if rows == 1:
                matrix = np.array([column[0] for column in columns], dtype=alike).reshape(1, -1)
            else:
                matrix = np.ascontiguousarray(np.array(columns, dtype=alike).T)
            return Table(None, rows, self._signature.index, matrix)
        made = {
            name: np.array(column, dtype=kind)
            for name, column, kind in zip(self._names, columns, self._kinds, strict=True)
        }
        return Table(made, rows)


def _kind(field: Field) -> str | None:
    """The type that plain values become by themselves; None where that takes more than numpy."""
    if field.content_type not in ("np", "str"):
        return None
    kind = field.converter[1]
    return kind if kind in _KINDS else None
