"""The datatypes of the Open Inference Protocol and numpy's names for them.

Source: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol
("Tensor data types").
"""

from __future__ import annotations

from typing import Any

DTYPES = {
    "BOOL": "bool",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}
_DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
_SEEN: dict[Any, str] = {}


def datatype_of(dtype: Any) -> str:
    """The protocol's name for a numpy or pandas dtype; whatever is no number is BYTES."""
    found = _SEEN.get(dtype)
    if found is None:
        found = _DATATYPES.get(str(dtype).lower(), "BYTES")
        if found != "BYTES":  # of strings there is a type for every length
            _SEEN[dtype] = found
    return found
