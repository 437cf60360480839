"""Tensor data as bytes, laid out by Python's own struct: another view than the server's numpy."""

from __future__ import annotations

import struct
from typing import Any

FORMATS = {
    "BOOL": "?",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


def pack(datatype: str, values: list[Any]) -> bytes:
    """Values as the extension lays them out."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def unpack(datatype: str, data: bytes) -> list[Any]:
    """The values in data that the extension has laid out."""
    if datatype != "BYTES":
        return list(
            struct.unpack(f"<{len(data) // struct.calcsize(FORMATS[datatype])}{FORMATS[datatype]}", data)
        )
    found = []
    while data:
        (length,) = struct.unpack_from("<I", data)
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found
