"""Tensor data as bytes, the form that the binary extension and gRPC's raw contents share.

Little-endian, row-major, without padding; BOOL is one byte, 0 or 1; each BYTES element has its length
before it, as an unsigned integer of 4 bytes.
Source: https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_binary_data.html
"""

from __future__ import annotations

import base64
import sys
from math import prod
from struct import Struct
from typing import Any

import numpy as np
import orjson

from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.errors import InvalidRequest, InvalidShape
from millpond.serving.server.tensors import Output

_LENGTH = Struct("<I")
_SWAPPED = sys.byteorder == "big"


def unpacked(raw: memoryview | bytes, datatype: str, shape: tuple[int, ...], place: str) -> Any:
    """The values of a tensor: a numpy array of its own memory, or a list of bytes.

    Raises:
        RequestError: the number of bytes is not the one that shape and datatype ask for.
    """
    count = prod(shape)
    if datatype == "BYTES":
        return _elements(raw, count, shape, place)
    dtype = np.dtype(DTYPES[datatype])
    if len(raw) != count * dtype.itemsize:
        raise InvalidShape(
            f"{place}: {datatype} of shape {list(shape)} is {count * dtype.itemsize} bytes, not {len(raw)}"
        )
    values = np.frombuffer(raw, dtype=dtype.newbyteorder("<")).astype(dtype)
    if datatype == "BOOL" and count and values.view("uint8").max() > 1:
        raise InvalidRequest(f"{place}: a BOOL is a byte 0 or 1")
    return values


def _elements(raw: memoryview | bytes, count: int, shape: tuple[int, ...], place: str) -> list[bytes]:
    """BYTES elements, each behind its length; they have to fill the data exactly."""
    if count * _LENGTH.size > len(raw):  # said before anything is made of what a client claims
        raise InvalidShape(
            f"{place}: {len(raw)} bytes cannot hold the {count} elements of shape {list(shape)}"
        )
    found: list[bytes] = []
    at, end = 0, len(raw)
    while at < end:
        start = at + _LENGTH.size
        if start > end:
            raise InvalidRequest(f"{place}: element {len(found)} has no length before it")
        (length,) = _LENGTH.unpack_from(raw, at)
        at = start + length
        if at > end:
            raise InvalidRequest(
                f"{place}: element {len(found)} has {length} bytes by its length, {end - start} are left"
            )
        found.append(bytes(raw[start:at]))
    if len(found) != count:
        raise InvalidShape(f"{place}: shape {list(shape)} holds {count} values, data has {len(found)}")
    return found


def packed(output: Output) -> bytes:
    """An output's data; a missing string is empty, as bytes have no null."""
    data = output.data
    if output.datatype != "BYTES":
        array = np.asarray(data, dtype=DTYPES[output.datatype])
        return bytes((array.byteswap() if _SWAPPED else array).tobytes())
    parts: list[bytes] = []
    for element in elements(output):
        parts += (_LENGTH.pack(len(element)), element)
    return b"".join(parts)


def elements(output: Output) -> list[bytes]:
    """The elements of a BYTES output: strings as UTF-8, bytes as they are, other values as JSON."""
    if output.content_type == "base64":
        return [b"" if value is None else base64.b64decode(value) for value in output.data]
    return [_element(value) for value in output.data]


def _element(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str):
        return value.encode(errors="replace")
    return bytes(
        orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS, default=_json)
    )


def _json(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)
