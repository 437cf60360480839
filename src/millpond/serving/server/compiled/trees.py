"""Decision trees and forests of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from millpond.serving.server.compiled.encoders import finite
from millpond.serving.server.compiled.forest import Forest, Tree
from millpond.serving.server.compiled.frame import Unhandled, matrix_of
from millpond.serving.server.compiled.steps import Learnt, Step, Unsupported, build, knows

Array = Any
_EDGES = 400
"""Thresholds that are kept for the proof, of each model."""


@knows("DecisionTreeRegressor", "ExtraTreeRegressor")
def tree_regressor(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The leaf's mean."""
    if method != "predict" or estimator.n_outputs_ != 1:
        raise Unsupported(f"{method} of {type(estimator).__name__} with several outputs")
    tree, rows = estimator.tree_, _singles(estimator)
    _learn(tree.threshold[tree.children_left >= 0], learnt)
    return lambda data: tree.predict(rows(data))[:, 0]


@knows("DecisionTreeClassifier", "ExtraTreeClassifier")
def tree_classifier(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The leaf's commonest class, or the share of each."""
    if estimator.n_outputs_ != 1:
        raise Unsupported(f"{type(estimator).__name__} with several outputs")
    tree, rows, names, count = estimator.tree_, _singles(estimator), estimator.classes_, estimator.n_classes_
    _learn(tree.threshold[tree.children_left >= 0], learnt)
    if method == "predict_proba":
        return lambda data: tree.predict(rows(data))[:, :count]
    return lambda data: names.take(tree.predict(rows(data)).argmax(axis=1), axis=0)


@knows("RandomForestRegressor", "ExtraTreesRegressor")
def forest_regressor(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The mean of the trees."""
    if method != "predict" or estimator.n_outputs_ != 1:
        raise Unsupported(f"{type(estimator).__name__} with several outputs")
    trees = [_tree(each.tree_, 0, learnt) for each in estimator.estimators_]
    forest, rows = Forest(trees, 1, estimator.n_features_in_), _singles(estimator.estimators_[0], estimator)
    count = len(trees)
    return lambda data: forest(rows(data))[:, 0] / count


@knows("RandomForestClassifier", "ExtraTreesClassifier")
def forest_classifier(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The class with the largest mean share, or the shares."""
    if estimator.n_outputs_ != 1:
        raise Unsupported(f"{type(estimator).__name__} with several outputs")
    names, classes, count = estimator.classes_, estimator.n_classes_, len(estimator.estimators_)
    trees = [_tree(each.tree_, at, learnt) for each in estimator.estimators_ for at in range(classes)]
    forest, rows = (
        Forest(trees, classes, estimator.n_features_in_),
        _singles(estimator.estimators_[0], estimator),
    )
    if method == "predict_proba":
        return lambda data: forest(rows(data)) / count
    return lambda data: names.take((forest(rows(data)) / count).argmax(axis=1), axis=0)


@knows("GradientBoostingRegressor")
def boosting_regressor(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The first guess, plus the trees."""
    if method != "predict":
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    raw = _boosted(estimator, learnt)
    return lambda data: raw(data)[:, 0]


@knows("GradientBoostingClassifier")
def boosting_classifier(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The class that the trees add up to."""
    if method != "predict":
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    raw, names = _boosted(estimator, learnt), estimator.classes_
    if len(names) == 2:
        return lambda data: names.take((raw(data)[:, 0] >= 0).astype(np.intp), axis=0)
    return lambda data: names.take(raw(data).argmax(axis=1), axis=0)


def _boosted(estimator: Any, learnt: Learnt) -> Step:
    start = estimator._raw_predict_init(np.zeros((1, estimator.n_features_in_), dtype=np.float32))
    if (
        type(estimator.init_).__name__ not in ("DummyRegressor", "DummyClassifier")
        and estimator.init_ != "zero"
    ):
        raise Unsupported(f"{type(estimator).__name__} with a model as its first guess")
    rate, outputs = estimator.learning_rate, estimator.estimators_.shape[1]
    trees = [_tree(each.tree_, 0, learnt, rate) for stage in estimator.estimators_ for each in stage]
    forest, rows = (
        Forest(trees, outputs, estimator.n_features_in_),
        _singles(estimator.estimators_[0, 0], estimator),
    )
    return lambda data: forest(rows(data)) + start


@knows("HistGradientBoostingRegressor")
def histogram_regressor(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The first guess, plus the trees, through the loss's link."""
    if method != "predict":
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    raw, inverse = _histogram(estimator, learnt), estimator._loss.link.inverse
    return lambda data: inverse(raw(data)[:, 0])


@knows("HistGradientBoostingClassifier")
def histogram_classifier(estimator: Any, method: str, learnt: Learnt) -> Step:
    """The class that the trees add up to."""
    if method != "predict":
        raise Unsupported(f"{method} of {type(estimator).__name__}")
    raw, names = _histogram(estimator, learnt), estimator.classes_
    if len(names) == 2:
        return lambda data: names[(raw(data)[:, 0] > 0).astype(np.intp)]
    return lambda data: names[raw(data).argmax(axis=1)]


def _histogram(estimator: Any, learnt: Learnt) -> Step:
    trees = [_histogram_tree(each, learnt) for stage in estimator._predictors for each in stage]
    forest = Forest(trees, estimator.n_trees_per_iteration_, estimator._n_features)
    start = estimator._baseline_prediction
    before = estimator._preprocessor
    prepare = build(before, "transform", learnt) if before is not None else None

    def run(data: Any) -> Array:
        matrix = matrix_of(data if prepare is None else prepare(data))
        return forest(finite(matrix, allow_missing=True)) + start

    return run


def _histogram_tree(predictor: Any, learnt: Learnt) -> Tree:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    asks = np.flatnonzero(~leaf & nodes["is_categorical"].astype(bool))
    _learn(nodes["num_threshold"][~leaf & ~nodes["is_categorical"].astype(bool)], learnt)
    bits = predictor.raw_left_cat_bitsets
    return Tree(
        left=np.where(leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(leaf, -1, nodes["right"].astype(np.int64)),
        feature=nodes["feature_idx"],
        threshold=nodes["num_threshold"],
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"],
        categories={int(node): bits[nodes["bitset_idx"][node]] for node in asks},
    )


def _tree(tree: Any, output: int, learnt: Learnt, rate: float = 1.0) -> Tree:
    """One output of a tree of scikit-learn's own kind."""
    inner = tree.children_left >= 0
    _learn(tree.threshold[inner], learnt)
    values = tree.value[:, 0, output]
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=tree.threshold,
        missing_left=np.asarray(tree.missing_go_to_left, dtype=bool),
        value=values * rate,
        categories={},
    )


def _learn(thresholds: Array, learnt: Learnt) -> None:
    room = _EDGES - len(learnt.edges)
    if room > 0:
        learnt.edges += [float(edge) for edge in np.unique(thresholds)[:room] if np.isfinite(edge)]


def _singles(estimator: Any, owner: Any = None) -> Step:
    """Rows in single precision, as these trees compare them, whatever they are kept in afterwards."""
    width = estimator.n_features_in_
    # A tree that met no missing value refuses them, as does an ensemble that cannot have any.
    tags = (owner if owner is not None else estimator).__sklearn_tags__()
    missing = tags.input_tags.allow_nan and bool(np.any(estimator.tree_.missing_go_to_left))

    def run(data: Any) -> Array:
        matrix = matrix_of(data)
        if matrix.shape[1] != width:
            raise ValueError(f"a row has {matrix.shape[1]} columns, not {width}")
        with np.errstate(over="ignore"):
            found = matrix.astype(np.float32)
        if not np.isfinite(found).all():
            if not missing:
                raise Unhandled("a number is missing or too large")
            finite(found, allow_missing=True)
        return found

    return run
