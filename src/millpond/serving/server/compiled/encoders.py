"""Transformers of values: categories to numbers, scales, what stands for a missing value."""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.compiled.frame import Frame, Unhandled, matrix_of
from millpond.serving.server.compiled.steps import Learnt, Step, Unsupported, knows

Array = Any
_WIDEST = 4096
"""Columns of a one-hot matrix at most: beyond, sparse rows are the better form."""


def _listed(data: Any) -> list[list[Any]]:
    """Each column as plain values; what is missing is None."""
    if isinstance(data, Frame):
        columns = [np.asarray(values) for values in data.arrays.values()]
    else:
        columns = [data[:, at] for at in range(data.shape[1])]
    return [values.tolist() for values in columns]


def _names(estimator: Any) -> list[str]:
    """What the columns were called when it was fitted; nothing, if they had no names."""
    count = len(estimator.categories_)
    return [str(name) for name in getattr(estimator, "feature_names_in_", [""] * count)]


def _codes(categories: Array, name: str, learnt: Learnt) -> tuple[dict[Any, int], bool]:
    """The number of each category, and whether a missing value is one of them (then the last)."""
    found: dict[Any, int] = {}
    missing = False
    for number, value in enumerate(categories.tolist()):
        if value is None or value != value:
            missing = True
        else:
            found[value] = number
            if isinstance(value, str):
                learnt.words.setdefault(name, set()).add(value)
            elif isinstance(value, int | float):
                learnt.edges.append(float(value))
    return found, missing


def _plain_categories(estimator: Any) -> None:
    if getattr(estimator, "_infrequent_enabled", False):
        raise Unsupported(f"{type(estimator).__name__} with infrequent categories")


@knows("OrdinalEncoder")
def ordinal(estimator: Any, method: str, learnt: Learnt) -> Step:
    """A number for each category."""
    _plain_categories(estimator)
    known = [
        _codes(categories, name, learnt)
        for categories, name in zip(estimator.categories_, _names(estimator), strict=True)
    ]
    refuses = estimator.handle_unknown == "error"
    unknown = None if refuses else float(estimator.unknown_value)
    missing_value = float(estimator.encoded_missing_value)

    def run(data: Any) -> Array:
        columns = _listed(data)
        found = np.empty((len(columns[0]), len(columns)))
        for at, (values, (codes, missing)) in enumerate(zip(columns, known, strict=True)):
            for row, value in enumerate(values):
                code = codes.get(value)
                if code is not None:
                    found[row, at] = code
                elif missing and (value is None or value != value):
                    found[row, at] = missing_value
                elif unknown is None:
                    raise Unhandled("a category that is not known")
                else:
                    found[row, at] = unknown
        return found

    return run


@knows("OneHotEncoder")
def one_hot(estimator: Any, method: str, learnt: Learnt) -> Step:
    """A column for each category."""
    _plain_categories(estimator)
    if estimator.drop is not None:
        raise Unsupported("OneHotEncoder that drops categories")
    refuses = estimator.handle_unknown == "error"
    known = []
    width = 0
    for categories, name in zip(estimator.categories_, _names(estimator), strict=True):
        codes, missing = _codes(categories, name, learnt)
        places = {value: width + number for value, number in codes.items()}
        known.append((places, width + len(categories) - 1 if missing else None))
        width += len(categories)
    if width > _WIDEST:
        raise Unsupported(f"OneHotEncoder with {width} categories")

    def run(data: Any) -> Array:
        columns = _listed(data)
        found = np.zeros((len(columns[0]), width))
        for values, (places, missing) in zip(columns, known, strict=True):
            for row, value in enumerate(values):
                place = places.get(value)
                if place is None and (value is None or value != value):
                    place = missing
                if place is not None:
                    found[row, place] = 1.0
                elif refuses:
                    raise Unhandled("a category that is not known")
        return found

    return run


@knows("StandardScaler")
def standard(estimator: Any, method: str, learnt: Learnt) -> Step:
    """Less the mean, by the deviation."""
    return _scaled(
        estimator.mean_ if estimator.with_mean else None, estimator.scale_ if estimator.with_std else None
    )


@knows("RobustScaler")
def robust(estimator: Any, method: str, learnt: Learnt) -> Step:
    """Less the median, by the quantiles' distance."""
    return _scaled(
        estimator.center_ if estimator.with_centering else None,
        estimator.scale_ if estimator.with_scaling else None,
    )


@knows("MaxAbsScaler")
def largest(estimator: Any, method: str, learnt: Learnt) -> Step:
    """By the largest value."""
    if getattr(estimator, "clip", False):
        raise Unsupported("MaxAbsScaler that clips")
    return _scaled(None, estimator.scale_)


def _scaled(less: Array, by: Array) -> Step:
    def run(data: Any) -> Array:
        found = finite(matrix_of(data), allow_missing=True)
        if less is not None:
            found = found - less
        return found if by is None else found / by

    return run


@knows("MinMaxScaler")
def span(estimator: Any, method: str, learnt: Learnt) -> Step:
    """Into a range."""
    times, plus, clip = estimator.scale_, estimator.min_, estimator.clip
    low, high = estimator.feature_range

    def run(data: Any) -> Array:
        found = finite(matrix_of(data), allow_missing=True) * times + plus
        return np.clip(found, low, high) if clip else found

    return run


@knows("SimpleImputer")
def imputed(estimator: Any, method: str, learnt: Learnt) -> Step:
    """Something in the place of missing numbers."""
    values = estimator.statistics_
    whole = isinstance(estimator.missing_values, float) and np.isnan(estimator.missing_values)
    if not whole or estimator.add_indicator or values.dtype.kind not in "fiu" or np.isnan(values).any():
        raise Unsupported("SimpleImputer of other than numbers, or with indicators or empty columns")

    def run(data: Any) -> Array:
        found = matrix_of(data)
        return np.where(np.isnan(found), values, found)

    return run


@knows("FunctionTransformer")
def function(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The function itself; scikit-learn's own check of an array changes nothing."""
    from sklearn.utils.validation import check_array

    if estimator.func is None or getattr(estimator.func, "func", None) is check_array:
        return lambda data: data
    if estimator.validate or estimator.kw_args:
        raise Unsupported("FunctionTransformer that validates or has arguments")
    step: Step = estimator.func
    return step


def finite(matrix: Array, *, allow_missing: bool = False) -> Array:
    """The matrix, if the original would take it.

    Raises:
        Unhandled: it holds an infinite number, or a missing one that is not allowed.
    """
    refused = np.isinf(matrix).any() if allow_missing else not np.isfinite(matrix).all()
    if refused:
        raise Unhandled("a number is missing or infinite")
    return matrix
