"""From a fitted estimator to a step: the table of what is known, and the way into what is not.

Each module here registers the classes that it knows by their full name, so that nothing is imported for a
model that does not use it. A step takes rows (a `Frame` or a matrix of doubles) and gives an array. A class
that is not scikit-learn's runs as it is, on a copy in which the estimators that it holds are steps.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

Step = Callable[[Any], Any]


class Unsupported(Exception):  # noqa: N818 - a reason, told to the user
    """There is no faster form of this; the message says of what."""


@dataclass
class Learnt:
    """What is found on the way: numbers that are compared with, and the words that a column may have."""

    edges: list[float] = field(default_factory=list)
    words: dict[str, set[str]] = field(default_factory=dict)


Build = Callable[[Any, str, Learnt], Step]
"""Makes the step of an estimator's method: predict, predict_proba, or transform."""

_MODULES = ("chains", "encoders", "linear", "trees")
_KNOWN: dict[str, Build] = {}


def knows(*names: str) -> Callable[[Build], Build]:
    """Register what builds the steps of these classes, named without ``sklearn.`` and private modules."""

    def register(build: Build) -> Build:
        for name in names:
            _KNOWN[name] = build
        return build

    return register


def build(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The step for an estimator's method.

    Raises:
        Unsupported: with the class that has none.
    """
    if not _KNOWN:
        for module in _MODULES:
            import_module(f"millpond.serving.server.compiled.{module}")
    kind = type(estimator)
    if kind.__module__.startswith("sklearn."):
        known = _KNOWN.get(kind.__name__)
        if known is None:
            raise Unsupported(f"there is no faster form of {kind.__name__}")
        return known(estimator, method, learnt)
    return _around(estimator, method, learnt)


class Stand:
    """Stands for an estimator inside of a class that is not known."""

    def __init__(self, estimator: Any, learnt: Learnt) -> None:
        self._steps: dict[str, Step] = {}
        self.classes_ = getattr(estimator, "classes_", None)
        problem: Unsupported | None = None
        for method in ("predict", "predict_proba", "transform"):
            if hasattr(estimator, method):
                try:
                    self._steps[method] = build(estimator, method, learnt)
                except Unsupported as error:
                    problem = error
        if not self._steps:
            raise problem or Unsupported(f"{type(estimator).__name__} does not predict")

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        try:
            return self._steps[name]
        except KeyError:
            raise AttributeError(name) from None


def _around(estimator: Any, method: str, learnt: Learnt) -> Step:
    if not hasattr(estimator, method):
        raise Unsupported(f"{type(estimator).__name__} has no {method}")
    twin = copy.copy(estimator)
    for name, value in vars(estimator).items():
        if _fitted(value):
            setattr(twin, name, Stand(value, learnt))
    step: Step = getattr(twin, method)
    return step


def _fitted(value: Any) -> bool:
    """Whether this is an estimator that has learnt something; a template of one has not."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if not (hasattr(value, "get_params") and hasattr(value, "fit")) or isinstance(value, type):
        return False
    try:
        check_is_fitted(value)
    except (NotFittedError, TypeError):
        return False
    return True
