"""Linear models: a product and a sum.

The products of a row are added the same way however many rows there are beside it, which a matrix product
does not promise; so a row's answer is the same alone and in a batch.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from millpond.serving.server.compiled.frame import Unhandled, matrix_of
from millpond.serving.server.compiled.steps import Learnt, Step, Unsupported, knows

Array = Any
_PRODUCTS = 4096
"""Products of one row at most that are written out; wider models multiply matrices."""


def _decide(estimator: Any) -> Step:
    """What the model gives before it decides: a column per class, or one."""
    weights = np.atleast_2d(np.asarray(estimator.coef_, dtype=np.float64))
    plus = np.asarray(estimator.intercept_, dtype=np.float64)
    width = weights.shape[1]

    def run(data: Any) -> Array:
        matrix = matrix_of(data)
        if matrix.shape[1] != width:
            raise ValueError(f"a row has {matrix.shape[1]} columns, not {width}")
        if weights.size <= _PRODUCTS:
            found = np.add.reduce(matrix[:, None, :] * weights, axis=2) + plus
        else:
            found = matrix @ weights.T + plus
        # What is missing or infinite in a row is so in its sum, whatever the weights.
        if not isfinite(np.add.reduce(found, axis=None)):
            raise Unhandled("a number is missing or infinite")
        return found

    return run


@knows("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet", "ElasticNetCV", "Lars")
@knows("LassoLars", "BayesianRidge", "ARDRegression", "HuberRegressor", "TheilSenRegressor", "SGDRegressor")
@knows("LinearSVR", "QuantileRegressor", "OrthogonalMatchingPursuit")
def regression(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The number itself."""
    if method != "predict":
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    decide = _decide(estimator)
    if np.ndim(estimator.coef_) == 1:
        return lambda data: decide(data)[:, 0]
    return decide


@knows("PoissonRegressor", "GammaRegressor")
def logarithmic(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The exponential of the number."""
    decide = _decide(estimator)
    return lambda data: np.exp(decide(data)[:, 0])


@knows("LogisticRegression", "LogisticRegressionCV")
def logistic(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The likeliest class, or how likely each is."""
    if method == "predict_proba":
        decide = _decide(estimator)
        if len(estimator.classes_) == 2:
            return lambda data: _two(decide(data)[:, 0])
        return lambda data: _softmax(decide(data))
    return classes(estimator, method, learnt)


@knows("LinearSVC", "SGDClassifier", "RidgeClassifier", "RidgeClassifierCV", "Perceptron")
@knows("PassiveAggressiveClassifier", "LinearDiscriminantAnalysis")
def classes(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The class whose number is largest, or whether the only number is above zero."""
    if method != "predict" or estimator.classes_.ndim != 1:
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    decide, names = _decide(estimator), estimator.classes_
    if np.shape(estimator.coef_)[0] == 1:
        return lambda data: names[(decide(data)[:, 0] > 0).astype(np.intp)]
    return lambda data: names[decide(data).argmax(axis=1)]


def _two(decision: Array) -> Array:
    from scipy.special import expit

    found = np.empty((len(decision), 2))
    found[:, 1] = expit(decision)
    found[:, 0] = 1 - found[:, 1]
    return found


def _softmax(decision: Array) -> Array:
    found = np.exp(decision - decision.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)
