"""scikit-learn's estimators, from a file of joblib, pickle or skops.

The names are those that KServe's server looks for. As there, ``PREDICT_PROBA=true`` in the environment
answers with probabilities where the estimator has them.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Any

from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded, LoadError
from millpond.serving.server.runtimes.tables import named, wide

log = logging.getLogger(__name__)

ENDINGS = (".joblib", ".pkl", ".pickle", ".skops")


def load(folder: Path, name: str) -> Loaded:
    """Load the folder's estimator.

    Raises:
        LoadError: there is none, or what is there cannot predict.
    """
    import sklearn

    path = find(folder, name, "scikit-learn", ENDINGS)
    estimator = _read(path, name)
    method = getattr(estimator, "predict", None)
    if method is None:
        raise LoadError(f"model {name}: {path.name} holds a {type(estimator).__name__}, which has no predict")
    if os.environ.get("PREDICT_PROBA", "").lower() == "true" and hasattr(estimator, "predict_proba"):
        method = estimator.predict_proba
    return Loaded(
        framework="sklearn",
        framework_version=sklearn.__version__,
        predict=_fitted(estimator, method),
        estimator=estimator if method == estimator.predict else None,
        rows_independent=True,
    )


def _read(path: Path, name: str) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if path.suffix == ".skops":
            from skops import io

            # Whoever may deploy may run code here anyway: see "Trust" in docs/concepts/serving.md.
            estimator = io.load(path, trusted=io.get_untrusted_types(file=path))
        else:
            import joblib

            estimator = joblib.load(path)
    for item in caught:
        made = getattr(item.message, "original_sklearn_version", None)
        if made is not None:
            log.warning(
                "model %s was written by scikit-learn %s and is read by %s: it may predict otherwise; a"
                " requirements.txt beside it with scikit-learn==%s gives it its own version",
                name,
                made,
                getattr(item.message, "current_sklearn_version", "another version"),
                made,
            )
            break
    return estimator


def _fitted(estimator: Any, method: Any) -> Any:
    """The method behind a check of what the estimator says it was fitted with, if it says anything."""
    names = getattr(estimator, "feature_names_in_", None)
    width = getattr(estimator, "n_features_in_", None)
    if names is not None:
        wanted = [str(each) for each in names]
        return lambda data: method(named(data, wanted))
    if width is not None:
        return lambda data: method(wide(data, width))
    return method
