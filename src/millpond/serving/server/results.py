"""What a model returned, as named outputs with the protocol's datatypes.

The shapes are MLServer's: one value per row is ``[n, 1]``, a table is one such output per column.
Names come from the model's signature when it gives as many as there are outputs, else a table's
columns keep theirs and an array is ``output-1``. JSON has no NaN and no Infinity: both are ``null``.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.datatypes import datatype_of
from millpond.serving.server.tensors import Output, Prediction


def outputs_of(result: Any, names: list[str]) -> Prediction:
    """The outputs of a model's result, whichever of pyfunc's types it has.

    Raises:
        TypeError: the result is nothing that tensors can hold.
    """
    if isinstance(result, pandas.DataFrame):
        labels = names if len(names) == result.shape[1] else [str(label) for label in result.columns]
        outputs = [_output(label, result.iloc[:, index]) for index, label in enumerate(labels)]
        return Prediction(outputs, "pd")
    if isinstance(result, dict):
        return Prediction([_output(str(name), _array(value)) for name, value in result.items()])
    if isinstance(result, tuple):
        labels = names if len(names) == len(result) else [f"output-{n + 1}" for n in range(len(result))]
        return Prediction([_output(label, _array(v)) for label, v in zip(labels, result, strict=True)])
    if isinstance(result, list) and result and all(isinstance(row, dict) for row in result):
        return outputs_of(pandas.DataFrame(result), names)
    return Prediction([_output(names[0] if len(names) == 1 else "output-1", _array(result))])


def rows_of(prediction: Prediction) -> list[Any]:
    """The same as V1's rows: values, lists, or objects when there are several outputs."""
    outputs = prediction.outputs
    if len(outputs) == 1 and prediction.content_type != "pd":
        output = outputs[0]
        shape = output.shape[:1] if output.shape[1:] == [1] else output.shape
        return _nested(_plain(output.data), shape)
    by_name = [_nested(_plain(output.data), _squeezed(output.shape)) for output in outputs]
    names = [output.name for output in outputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*by_name, strict=True)]


def _squeezed(shape: list[int]) -> list[int]:
    return shape[:1] if shape[1:] == [1] else shape


def _nested(data: list[Any], shape: list[int]) -> list[Any]:
    for length in reversed(shape[1:]):
        data = [data[at : at + length] for at in range(0, len(data), length)] if length else []
    return data


def _plain(data: Any) -> list[Any]:
    if not isinstance(data, np.ndarray):
        return list(data)
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        return [value if np.isfinite(value) else None for value in data.tolist()]
    return list(data.tolist())


def _array(value: Any) -> Any:
    if isinstance(value, np.ndarray | pandas.Series):
        return value
    if hasattr(value, "toarray"):  # scipy's sparse matrices
        return value.toarray()
    if isinstance(value, str | bytes):
        return np.array([value], dtype=object)
    if isinstance(value, list) and any(isinstance(item, str | bytes | dict | None) for item in value):
        return _objects(value)
    try:
        return np.atleast_1d(np.asarray(value))
    except ValueError:  # rows of different lengths
        return _objects(value)


def _objects(values: list[Any]) -> Any:
    found = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        found[index] = value
    return found


def _output(name: str, values: Any) -> Output:
    if isinstance(values, pandas.Series):
        values = _series(values)
    shape = list(values.shape) if values.ndim != 1 else [len(values), 1]
    datatype = datatype_of(values.dtype)
    if datatype != "BYTES":
        return Output(name, datatype, shape, np.ascontiguousarray(values).ravel(), "np")
    if values.dtype.kind in "Mm":
        data = [None if np.isnat(value) else str(value) for value in values.ravel()]
        return Output(name, "BYTES", shape, data, "datetime" if values.dtype.kind == "M" else "str")
    data, content_type = _texts(values.ravel().tolist())
    return Output(name, "BYTES", shape, data, content_type)


def _series(series: Any) -> Any:
    """A column as numpy; missing whole numbers and truth values become floats with NaN."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return series.to_numpy()
    if isinstance(dtype, pandas.CategoricalDtype):
        return _series(series.astype(dtype.categories.dtype))
    if isinstance(dtype, pandas.DatetimeTZDtype):
        return series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    if pandas.api.types.is_numeric_dtype(dtype):
        if series.isna().any():
            return series.to_numpy(dtype="float64", na_value=np.nan)
        kind = str(dtype).lower()
        return series.to_numpy(dtype="bool" if kind == "boolean" else kind.split("[")[0])
    return series.to_numpy(dtype=object, na_value=None)


def _texts(values: list[Any]) -> tuple[list[Any], str]:
    """Values of an object array as JSON can hold them, and the content type that says what they are."""
    found: list[Any] = []
    kinds: set[str] = set()
    for value in values:
        if value is None or (isinstance(value, float) and np.isnan(value)) or value is pandas.NA:
            found.append(None)
        elif isinstance(value, bytes):
            kinds.add("base64")
            found.append(base64.b64encode(value).decode())
        elif isinstance(value, str):
            kinds.add("str")
            found.append(value)
        else:
            kinds.add("pd_json")
            found.append(value)
    return found, kinds.pop() if len(kinds) == 1 else ("pd_json" if kinds else "str")
