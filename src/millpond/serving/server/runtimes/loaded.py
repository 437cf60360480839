"""What every runtime gives: a model that is in memory and can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from millpond.model.errors import MillpondError


class LoadError(MillpondError):
    """The folder holds no model that this environment can load and run."""


@dataclass(slots=True)
class Loaded:
    """A model in memory.

    Attributes:
        framework: what predicts, such as ``sklearn``; for an MLflow model its flavour, such as ``xgboost``.
        framework_version: of that framework as it is installed here.
        predict: takes what `Signature.arrange` gives and predicts, checking as little as it can.
        inputs, outputs: schemas with MLflow's words (``inputs``, ``is_tensor_spec()``, ``has_input_names()``,
            ``input_names()``), or None where the format does not say.
        parameters: the schema of a model's parameters, or None.
        predict_with: predicts with parameters and with all of the framework's own checks; None where
            the framework has none beyond `predict`.
        checks: whether those checks do more than to enforce `inputs`, so that they can never be left out.
        estimator: the object under `predict` (an estimator, a booster, a session), for whoever can run it
            faster; None when there is none, or when `predict` does more than to call it.
        rows_independent: whether each row of an answer depends on the same row of the input alone, so that
            requests may be joined; None when nobody can tell.
        format: that the folder was read as.
        example: an input that the model itself names as one, as `predict_with` (else `predict`) takes it.
    """

    framework: str
    framework_version: str
    predict: Callable[[Any], Any]
    inputs: Any = None
    outputs: Any = None
    parameters: Any = None
    predict_with: Callable[[Any, dict[str, Any]], Any] | None = None
    checks: bool = False
    estimator: Any = None
    rows_independent: bool | None = None
    example: Any = None
    format: str = "mlflow"
