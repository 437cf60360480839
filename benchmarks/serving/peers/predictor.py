"""The model as every peer's own server file calls it, written as a user of that peer would write it.

``BENCH_MODEL`` is the model's folder; its last name says which of the three it is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(os.environ["BENCH_MODEL"])
NAME = FOLDER.name


class Predictor:
    """Loads the model; called with columns by name (lists), it gives a flat list of numbers."""

    def __init__(self) -> None:
        if NAME == "onnx":
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(str(FOLDER / "model.onnx"), options)
        else:
            import joblib

            self._model = joblib.load(FOLDER / "model.joblib")

    def __call__(self, columns: dict[str, list[Any]]) -> list[float]:
        if NAME == "onnx":
            features = np.array(columns["features"], dtype=np.float32).reshape(-1, 16)
            [found] = self._session.run(None, {"features": features})
            return found.ravel().tolist()
        if NAME == "flights":
            import pandas as pd

            return self._model.predict(pd.DataFrame(columns)).tolist()
        return self._model.predict(np.array(list(columns.values()), dtype=float).T).tolist()


def columns_of(body: dict[str, Any]) -> dict[str, list[Any]]:
    """The columns of a V2 request's body."""
    return {item["name"]: item["data"] for item in body["inputs"]}
