"""Keras's models from a ``.keras`` file, on whichever backend the environment has; JAX is the light one.

JAX compiles a model anew for every number of rows, a third of a second for the smallest. Rows are therefore
filled up to the next power of two, where a trial shows that this does not change the answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded
from millpond.serving.server.runtimes.schema import Schema, Spec, tensors

ENDINGS = (".keras", ".h5")
_BACKENDS = {"jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}
_TRIED = 3
_CLOSE = 1e-5
_LARGEST = 1024
"""Rows above which they are filled up to a multiple of it: a power of two could double the work."""


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's model.

    Raises:
        LoadError: there is none.
    """
    path = find(folder, name, "Keras", ENDINGS)
    backend = next((name for name, module in _BACKENDS.items() if find_spec(module)), None)
    if backend is not None:
        os.environ.setdefault("KERAS_BACKEND", backend)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import keras

    # Whoever may deploy may run code here anyway, so a Lambda layer is no reason to refuse.
    model = keras.saving.load_model(path, compile=False, safe_mode=False)
    inputs, outputs = _schema(model.inputs), _schema(model.outputs)
    predict = _predict(model)
    if keras.backend.backend() == "jax" and inputs is not None:
        filled = _filled(predict)
        if _alike(predict, filled, inputs):
            predict = filled
    return Loaded(
        framework="keras",
        framework_version=keras.__version__,
        predict=predict,
        inputs=inputs,
        outputs=outputs,
        estimator=model,
    )


def _schema(nodes: Any) -> Schema | None:
    if not nodes:
        return None
    shapes = [tuple(-1 if length is None else length for length in node.shape) for node in nodes]
    # The name of a lone one was often made up by Keras, anew in each process.
    names = [None] if len(nodes) == 1 else [node.name for node in nodes]
    return tensors(
        *(
            Spec(name, np.dtype(str(node.dtype)), shape)
            for name, node, shape in zip(names, nodes, shapes, strict=True)
        )
    )


def _predict(model: Any) -> Callable[[Any], Any]:
    names = [str(each) for each in getattr(model, "output_names", [])]

    def predict(data: Any) -> Any:
        if isinstance(data, pandas.DataFrame):
            data = data.to_numpy(dtype="float32")
        elif isinstance(data, dict) and len(data) == 1:
            [data] = data.values()
        found = model.predict_on_batch(data)
        if isinstance(found, list):
            return {name: np.asarray(value) for name, value in zip(names, found, strict=True)}
        return found if isinstance(found, dict) else np.asarray(found)

    return predict


def _filled(predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same with rows filled up by copies of the last one, and their answers left out."""

    def filled(data: Any) -> Any:
        if isinstance(data, pandas.DataFrame):
            data = data.to_numpy(dtype="float32")
        rows = len(next(iter(data.values()))) if isinstance(data, dict) else len(data)
        more = _size(rows) - rows
        if more == 0:
            return predict(data)
        found = predict(
            _each(data, lambda array: np.concatenate([array, np.repeat(array[-1:], more, axis=0)]))
        )
        return _each(found, lambda array: array[:rows])

    return filled


def _size(rows: int) -> int:
    if rows > _LARGEST:
        return -(-rows // _LARGEST) * _LARGEST
    return 1 << max(rows - 1, 0).bit_length()


def _each(data: Any, act: Callable[[Any], Any]) -> Any:
    return {name: act(array) for name, array in data.items()} if isinstance(data, dict) else act(data)


def _alike(predict: Callable[[Any], Any], filled: Callable[[Any], Any], inputs: Schema) -> bool:
    """Whether filling up changes nothing for rows that are made up; also compiles the model for one row."""
    random = np.random.default_rng(0)
    arrays = {}
    for index, spec in enumerate(inputs.inputs):
        shape = (_TRIED, *(8 if length == -1 else length for length in spec.shape[1:]))
        values = random.normal(size=shape) if spec.type.kind == "f" else np.zeros(shape)
        arrays[spec.name or str(index)] = values.astype(spec.type)
    data = arrays if inputs.has_input_names() else next(iter(arrays.values()))
    try:
        filled(_each(data, lambda array: array[:1]))
        one, other = predict(data), filled(data)
        if not isinstance(one, dict):
            one, other = {"": one}, {"": other}
        return all(np.allclose(one[name], other[name], rtol=_CLOSE, atol=_CLOSE) for name in one)
    except Exception:  # made-up rows may be none that the model can take
        return False
