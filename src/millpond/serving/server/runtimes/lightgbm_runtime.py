"""LightGBM's boosters, as ``Booster.save_model`` writes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded, LoadError
from millpond.serving.server.runtimes.schema import Schema, Spec, columns, tensors
from millpond.serving.server.runtimes.tables import named, wide
from millpond.serving.server.runtimes.threads import threads

ENDINGS = (".bst", ".txt")


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's booster.

    Raises:
        LoadError: there is none, or the system lacks what LightGBM needs.
    """
    path = find(folder, name, "LightGBM", ENDINGS)
    try:
        import lightgbm
    except OSError as error:
        raise LoadError(
            f"model {name}: LightGBM cannot be loaded: {error}",
            hint="it needs the system's OpenMP library: libgomp1 on Debian, libomp on macOS",
        ) from error
    booster = lightgbm.Booster(model_file=path)
    names = [str(each) for each in booster.feature_name()]
    categories = bool(booster.pandas_categorical)
    count = threads()
    if categories:

        def predict(data: Any) -> Any:
            table = named(data, names)
            texts = dict.fromkeys(table.select_dtypes(["object", "string"]), "category")
            return booster.predict(table.astype(texts), num_threads=count)
    else:

        def predict(data: Any) -> Any:
            if isinstance(data, pandas.DataFrame):
                data = data.to_numpy()
            return booster.predict(wide(data, len(names)), num_threads=count)

    return Loaded(
        framework="lightgbm",
        framework_version=lightgbm.__version__,
        predict=predict,
        inputs=None if categories else _inputs(names),
        estimator=booster,
        rows_independent=True,
    )


def _inputs(names: list[str]) -> Schema:
    # What LightGBM calls the columns of a matrix that had no names.
    if all(re.fullmatch(r"Column_\d+", name) for name in names):
        return tensors(Spec(None, "float64", (-1, len(names))))
    return columns(names, "double")
