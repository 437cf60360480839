"""ONNX graphs, run by ONNX Runtime; the graph itself says what goes in and comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded
from millpond.serving.server.runtimes.schema import Schema, Spec, tensors
from millpond.serving.server.runtimes.threads import threads

ENDINGS = (".onnx",)

_LARGE = 16 << 20
"""Bytes of a graph above which one prediction is worth all cores."""

_DTYPES = {
    "float": "float32", "double": "float64", "float16": "float16", "bool": "bool", "string": "object",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip
_ROW_BY_ROW = ("skl2onnx", "OnnxMLTools")
"""Producers of graphs that stand for one row's prediction, as opposed to anything."""


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's graph.

    Raises:
        LoadError: there is none.
    """
    return session_of(find(folder, name, "ONNX", ENDINGS))


def session_of(path: Path) -> Loaded:
    """Load a graph from its file."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads(1 if path.stat().st_size < _LARGE else 0)
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = session.get_outputs()
    producer = session.get_modelmeta().producer_name
    return Loaded(
        framework="onnx",
        framework_version=onnxruntime.__version__,
        predict=_predict(session),
        inputs=_schema(session.get_inputs()),
        outputs=_schema(outputs),
        estimator=session,
        rows_independent=True if producer in _ROW_BY_ROW else None,
    )


def _schema(nodes: list[Any]) -> Schema:
    specs = []
    for node in nodes:
        found = re.fullmatch(r"tensor\((\w+)\)", node.type)
        if found is None:  # a sequence of maps: what classifiers of old give as probabilities
            specs.append(Spec(node.name, "float32", (-1, -1)))
            continue
        shape = tuple(length if isinstance(length, int) else -1 for length in node.shape or ())
        specs.append(Spec(node.name, np.dtype(_DTYPES.get(found[1], "object")), shape))
    return tensors(*specs)


def _predict(session: Any) -> Any:
    names = [node.name for node in session.get_inputs()]
    outputs = [node.name for node in session.get_outputs()]
    run = session.run
    if len(outputs) == 1 and session.get_outputs()[0].type.startswith("tensor("):

        def one(data: Any) -> Any:
            return run(outputs, data if type(data) is dict else _fed(data, names))[0]

        return one

    def all_of_them(data: Any) -> Any:
        found = run(outputs, data if type(data) is dict else _fed(data, names))
        return {name: _plain(value) for name, value in zip(outputs, found, strict=True)}

    return all_of_them


def _fed(data: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(data, pandas.DataFrame):
        return {name: data[name].to_numpy().reshape(-1, 1) for name in names}
    return {names[0]: data}


def _plain(value: Any) -> Any:
    """A list of a map per row as a matrix, in the order of the maps' keys."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return np.array([list(row.values()) for row in value])
    return value
