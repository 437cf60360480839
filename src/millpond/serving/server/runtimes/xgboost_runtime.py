"""XGBoost's boosters, as ``Booster.save_model`` and the scikit-learn classes' ``save_model`` write them.

As KServe's server does, the booster itself answers: what a classifier was saved from gives probabilities.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded
from millpond.serving.server.runtimes.schema import Schema, Spec, columns, tensors
from millpond.serving.server.runtimes.tables import wide
from millpond.serving.server.runtimes.threads import threads

ENDINGS = (".bst", ".json", ".ubj")


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's booster.

    Raises:
        LoadError: there is none.
    """
    import xgboost

    path = find(folder, name, "XGBoost", ENDINGS)
    # From bytes, as the library would take .bst for a format that it has left behind.
    booster = xgboost.Booster(params={"nthread": threads()}, model_file=bytearray(path.read_bytes()))
    return Loaded(
        framework="xgboost",
        framework_version=xgboost.__version__,
        predict=_predict(booster, xgboost),
        inputs=_inputs(booster),
        estimator=booster,
        rows_independent=True,
    )


def _categorical(booster: Any) -> bool:
    return "c" in (booster.feature_types or [])


def _inputs(booster: Any) -> Schema | None:
    if _categorical(booster):
        return None
    if booster.feature_names:
        return columns(booster.feature_names, "double")
    # What the trees compare with is single precision, whatever comes in.
    return tensors(Spec(None, "float32", (-1, booster.num_features())))


def _predict(booster: Any, xgboost: Any) -> Any:
    width = booster.num_features()
    if _categorical(booster):

        def by_category(data: Any) -> Any:
            if isinstance(data, pandas.DataFrame):
                data = data.astype(dict.fromkeys(data.select_dtypes(["object", "string"]), "category"))
            return booster.predict(xgboost.DMatrix(data, enable_categorical=True))

        return by_category
    if '"gblinear"' in booster.save_config():
        return lambda data: booster.predict(xgboost.DMatrix(wide(data, width)), validate_features=False)
    return lambda data: booster.inplace_predict(wide(data, width), validate_features=False)
