"""Keras's models from a ``.keras`` file, on whichever backend the environment has; JAX is the light
one."""

from __future__ import annotations

import os
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
