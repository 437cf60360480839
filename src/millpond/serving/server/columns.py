"""Values as they were sent, turned into the numpy array that a column of the signature asks for.

The signature decides, not the datatype that the request declares: a string column takes strings
under any datatype (clients are seen that type them FP32), a number column takes numbers and
strings that are numbers. Whatever is left is refused with its place.

Missing values: ``null`` in a float column is NaN, in a string, datetime or binary column a missing
value; an integer or boolean column cannot hold one. ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` are
numbers to a float column, as JSON has no other way to say them.

Data that came as bytes is an array, which is converted as a whole under the same rules, or a list of
bytes, which are UTF-8 unless the column is a binary one.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import orjson

from millpond.serving.server.errors import InvalidValue
from millpond.serving.server.tensors import Tensor

Values = Any
_DEEPEST = 100
_NUMBERS = {int, float}
_TRUTH = {"true": True, "false": False, "1": True, "0": False}


def floats(tensor: Tensor, dtype: str) -> Values:
    """Numbers; null is NaN."""
    data = _plain(tensor)
    if isinstance(data, np.ndarray):
        if data.dtype.kind == "b":
            raise InvalidValue(tensor.at(0), "a number", bool(data[0]))
        with np.errstate(over="ignore"):
            return data.astype(dtype)
    kinds = set(map(type, data))
    if not kinds <= _NUMBERS:
        return np.array([_float(tensor, row, value) for row, value in enumerate(data)], dtype=dtype)
    try:
        with np.errstate(over="ignore"):
            return np.array(data, dtype=dtype)
    except OverflowError:
        return np.array([_float(tensor, row, value) for row, value in enumerate(data)], dtype=dtype)


def _float(tensor: Tensor, row: int, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InvalidValue(tensor.at(row), "a number", value)


def integers(tensor: Tensor, dtype: str) -> Values:
    """Whole numbers within the range of `dtype`; 5.0 and "5" are whole numbers too."""
    info = np.iinfo(dtype)
    data = _plain(tensor)
    if isinstance(data, np.ndarray) and data.dtype.kind in "iu" and _within(data, info):
        return data.astype(dtype)
    if isinstance(data, np.ndarray):
        data = data.tolist()
    if set(map(type, data)) != {int}:
        data = [_integer(tensor, row, value) for row, value in enumerate(data)]
    if min(data) < info.min or max(data) > info.max:
        row = next(row for row, value in enumerate(data) if not info.min <= value <= info.max)
        expected = f"an integer from {info.min} to {info.max}"
        raise InvalidValue(tensor.at(row), expected, _plain(tensor)[row])
    return np.array(data, dtype=dtype)


def _within(data: Values, info: Any) -> bool:
    return bool(int(data.min()) >= info.min and int(data.max()) <= info.max)


def _integer(tensor: Tensor, row: int, value: Any) -> int:
    if value is None:
        raise InvalidValue(tensor.at(row), "an integer (this column cannot hold missing values)", value)
    if isinstance(value, bool):
        raise InvalidValue(tensor.at(row), "an integer", value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                raise InvalidValue(tensor.at(row), "an integer", value) from None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value)
    raise InvalidValue(tensor.at(row), "an integer", value)


def booleans(tensor: Tensor, dtype: str) -> Values:
    """true and false, also as 0, 1 and strings."""
    data = _plain(tensor)
    if isinstance(data, np.ndarray):
        if data.dtype.kind == "b":
            return data
        data = data.tolist()
    found = []
    for row, value in enumerate(data):
        truth = _TRUTH.get(str(value).lower()) if isinstance(value, bool | int | str) else None
        if truth is None:
            raise InvalidValue(tensor.at(row), "true or false", value)
        found.append(truth)
    return np.array(found, dtype=dtype)


def strings(tensor: Tensor, dtype: str) -> Values:
    """Strings, whatever the request calls them; null is a missing value."""
    if tensor.content_type == "base64":
        return _filled([_text(tensor, row, value) for row, value in enumerate(binaries(tensor, dtype))])
    data = _values(tensor)
    for row, value in enumerate(data):
        if value is not None and not isinstance(value, str):
            raise InvalidValue(tensor.at(row), "a string", value)
    return _filled(data)


def datetimes(tensor: Tensor, dtype: str) -> Values:
    """ISO 8601 strings; null is not-a-time."""
    found = np.empty(len(tensor.data), dtype="datetime64[ns]")
    for row, value in enumerate(_values(tensor)):
        if value is not None and not isinstance(value, str):
            raise InvalidValue(tensor.at(row), "a date and time as an ISO 8601 string", value)
        found[row] = _instant(tensor, row, value)
    return found


def _instant(tensor: Tensor, row: int, value: str | None) -> Any:
    import pandas

    if value is None:
        return np.datetime64("NaT")
    try:
        instant = pandas.Timestamp(value)
        if instant is not pandas.NaT and instant.tzinfo is not None:
            instant = instant.tz_convert("UTC").tz_localize(None)
        return np.datetime64("NaT") if instant is pandas.NaT else instant.as_unit("ns").to_datetime64()
    except (ValueError, OverflowError, TypeError):
        raise InvalidValue(tensor.at(row), "a date and time as an ISO 8601 string", value) from None


def binaries(tensor: Tensor, dtype: str) -> Values:
    """Bytes: as they are when they came as bytes, else base64 strings, as MLflow writes them.

    The content type ``base64`` says that bytes are base64 too.
    """
    raw = tensor.content_type != "base64"
    found = np.empty(len(tensor.data), dtype=object)
    for row, value in enumerate(_values(tensor, text=False)):
        if value is None or (raw and isinstance(value, bytes)):
            found[row] = value
            continue
        try:
            found[row] = base64.b64decode(value, validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise InvalidValue(tensor.at(row), "bytes in base64", value) from None
    return found


def objects(tensor: Tensor, dtype: str) -> Values:
    """The values as they are: lists, objects, anything; the model's own checks apply.

    Bytes become strings where all of them are UTF-8. The content type ``pd_json`` has strings read as JSON.
    """
    try:
        data = _values(tensor)
    except InvalidValue:
        data = _values(tensor, text=False)
    if tensor.content_type == "pd_json":
        data = [_json(tensor, row, value) for row, value in enumerate(data)]
    for row, value in enumerate(data):
        if isinstance(value, list | dict) and _deep(value):
            raise InvalidValue(tensor.at(row), f"a value that is nested {_DEEPEST} deep at most", value)
    return _filled(data)


def _deep(value: Any) -> bool:
    """Whether a value is nested so deep that neither a model nor JSON's writer could be trusted with it."""
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, list | dict)
        ]
        if not level:
            return False
    return True


def _json(tensor: Tensor, row: int, value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        raise InvalidValue(tensor.at(row), "a value as JSON", value) from None


def natural(tensor: Tensor) -> Values:
    """What values are when no signature says: by content type, else the declared datatype where they fit it.

    Strings under a number's datatype are numbers when all of them are, and stay strings when not.
    """
    by_type = _BY_CONTENT_TYPE.get(tensor.content_type or "")
    if by_type is not None:
        return by_type[0](tensor, by_type[1])
    if isinstance(tensor.data, np.ndarray):
        return tensor.data
    kinds = set(map(type, tensor.data)) - {type(None)}
    if kinds == {bytes}:
        return objects(tensor, "object")
    if kinds == {str} and tensor.datatype in (None, "BYTES"):
        return strings(tensor, "object")
    convert = CONVERTERS.get(tensor.datatype or "")
    if kinds == {str}:
        try:
            return floats(tensor, "float64") if convert is None else convert[0](tensor, convert[1])
        except InvalidValue:
            return strings(tensor, "object")
    if convert is not None:
        return convert[0](tensor, convert[1])
    if kinds and kinds <= _NUMBERS and type(None) not in set(map(type, tensor.data)):
        return np.array(tensor.data) if _fits(tensor.data) else floats(tensor, "float64")
    if kinds and kinds <= _NUMBERS:
        return floats(tensor, "float64")
    if kinds == {bool}:
        return np.array(tensor.data)
    return objects(tensor, "object")


def _plain(tensor: Tensor) -> Any:
    """The data for a column of numbers: an array, or a list in which bytes are strings."""
    data = tensor.data
    return data if isinstance(data, np.ndarray) else _values(tensor)


def _values(tensor: Tensor, text: bool = True) -> list[Any]:
    """The data as a list; bytes are strings if `text`."""
    data = tensor.data
    if isinstance(data, np.ndarray):
        return list(data.tolist())
    if text and data and isinstance(data[0], bytes):
        return [_text(tensor, row, value) for row, value in enumerate(data)]
    return data  # type: ignore[no-any-return]


def _text(tensor: Tensor, row: int, value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidValue(tensor.at(row), "a string in UTF-8", value) from None


def _filled(values: list[Any]) -> Values:
    found = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        found[row] = value
    return found


def _fits(data: list[Any]) -> bool:
    return all(-(2**63) <= value < 2**63 for value in data)


Converter = tuple[Callable[[Tensor, str], Values], str]
CONVERTERS: dict[str, Converter] = {
    "BOOL": (booleans, "bool"),
    **{f"UINT{bits}": (integers, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (integers, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": (floats, f"float{bits}") for bits in (16, 32, 64)},
}
_BY_CONTENT_TYPE: dict[str, Converter] = {
    "str": (strings, "object"),
    "base64": (binaries, "object"),
    "datetime": (datetimes, "datetime64[ns]"),
    "pd_json": (objects, "object"),
}
