"""Forests of decision trees, evaluated by LightGBM whoever grew them.

LightGBM reads a forest from text (its "model v4" format, https://github.com/microsoft/LightGBM) with double
thresholds, sets of categories and a side for missing values at each split, and evaluates one row in
microseconds. Leaves are added tree by tree in double precision, in the order of the original.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any

_DOUBLE = 1  # C_API_DTYPE_FLOAT64
_ROW_MAJOR = 1
_RAW = 1  # C_API_PREDICT_RAW_SCORE
_CATEGORICAL, _DEFAULT_LEFT, _MISSING_IS_NAN = 1, 2, 2 << 2
_BY_ROW = 64
"""Rows up to which a call for each is cheaper than one for all, which sets up more."""


@dataclass(slots=True)
class Tree:
    """One tree as arrays over its nodes; node 0 is the root.

    Attributes:
        left, right: the children's numbers, negative at a leaf.
        feature: the column that is compared.
        threshold: at most this goes left.
        missing_left: whether a missing value does.
        value: of the leaf.
        categories: at nodes that ask for membership, the eight 32-bit words of the set that goes left.
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    value: Array
    categories: dict[int, Array]


class Forest:
    """Adds up the leaves that a row falls into, for each of `outputs` values.

    Args:
        trees: for output 0, 1, ... in turn.
        outputs: how many values a row gets.
        width: how many columns a row has.

    Raises:
        ImportError, OSError: LightGBM is not installed or cannot be loaded.
    """

    def __init__(self, trees: Iterable[Tree], outputs: int, width: int) -> None:
        import lightgbm
        from lightgbm.basic import _LIB

        self.outputs = outputs
        self.width = width
        self._booster = lightgbm.Booster(model_str=_text(list(trees), outputs, width))
        self._handle = self._booster._handle
        self._row = _LIB.LGBM_BoosterPredictForMatSingleRowFast
        self._rows = _LIB.LGBM_BoosterPredictForMat
        self._fast = ctypes.c_void_p()
        self._length = ctypes.byref(ctypes.c_int64())
        failed = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            self._handle,
            ctypes.c_int(_RAW),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            ctypes.c_int(_DOUBLE),
            ctypes.c_int32(width),
            b"num_threads=1",
            ctypes.byref(self._fast),
        )
        if failed:
            raise OSError("LightGBM refuses the forest")
        self._free = _LIB.LGBM_FastConfigFree
        self._lock = threading.Lock()  # LightGBM keeps one row's working space for all callers

    def __del__(self) -> None:
        if getattr(self, "_free", None) is not None and self._fast:
            self._free(self._fast)

    def __call__(self, matrix: Array) -> Array:
        """The sums, a row of `outputs` for each row of doubles."""
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        rows, width = matrix.shape
        if width != self.width:
            raise ValueError(f"a row has {width} columns, not {self.width}")
        found = np.empty((rows, self.outputs))
        with self._lock:
            self._evaluate(matrix, found)
        return found

    def _evaluate(self, matrix: Array, found: Array) -> None:
        rows, width = matrix.shape
        source, target = matrix.ctypes.data, found.ctypes.data
        if rows <= _BY_ROW:
            row = self._row
            for at in range(rows):
                failed = row(
                    self._fast,
                    ctypes.c_void_p(source + at * width * 8),
                    self._length,
                    ctypes.c_void_p(target + at * self.outputs * 8),
                )
                if failed:
                    raise RuntimeError("LightGBM failed")
            return
        failed = self._rows(
            self._handle,
            ctypes.c_void_p(source),
            ctypes.c_int(_DOUBLE),
            ctypes.c_int32(rows),
            ctypes.c_int32(width),
            ctypes.c_int(_ROW_MAJOR),
            ctypes.c_int(_RAW),
            ctypes.c_int(0),
            ctypes.c_int(-1),
            b"num_threads=1",
            self._length,
            ctypes.c_void_p(target),
        )
        if failed:
            raise RuntimeError("LightGBM failed")


def _text(trees: list[Tree], outputs: int, width: int) -> str:
    written = [_tree(number, tree) for number, tree in enumerate(trees)]
    head = [
        "tree",
        "version=v4",
        f"num_class={outputs}",
        f"num_tree_per_iteration={outputs}",
        "label_index=0",
        f"max_feature_idx={width - 1}",
        "objective=regression" if outputs == 1 else f"objective=multiclass num_class:{outputs}",
        "feature_names=" + " ".join(f"f{number}" for number in range(width)),
        "feature_infos=" + " ".join(["none"] * width),
        "tree_sizes=" + " ".join(str(len(text)) for text in written),
        "",
        "",
    ]
    return "\n".join(head) + "".join(written) + "end of trees\n\nparameters:\nend of parameters\n"


def _tree(number: int, tree: Tree) -> str:
    inner = np.flatnonzero(tree.left >= 0)
    leaves = np.flatnonzero(tree.left < 0)
    if not len(inner):  # the format has no tree without a split: one whose two sides are the same
        return _written(
            number, [0], [0.0], [_MISSING_IS_NAN], [-1], [-2], [float(tree.value[0])] * 2, [0], []
        )
    place = np.empty(len(tree.left), dtype=np.int64)
    place[inner] = np.arange(len(inner))
    place[leaves] = -np.arange(1, len(leaves) + 1)
    left, right = place[tree.left[inner]], place[tree.right[inner]]
    threshold = np.nan_to_num(tree.threshold[inner].astype(float), posinf=1e300, neginf=-1e300)
    decision = np.where(tree.missing_left[inner], _DEFAULT_LEFT, 0) | _MISSING_IS_NAN
    bounds, words = [0], []
    for node, going_left in tree.categories.items():
        at = place[node]
        if tree.missing_left[node]:  # a missing category always goes right there: turn the question round
            going_left = ~going_left
            left[at], right[at] = right[at], left[at]
        threshold[at], decision[at] = len(bounds) - 1, _CATEGORICAL | _MISSING_IS_NAN
        words += [int(word) for word in going_left]
        bounds.append(len(words))
    values = tree.value[leaves].tolist()
    return _written(
        number,
        tree.feature[inner].tolist(),
        threshold.tolist(),
        decision.tolist(),
        left.tolist(),
        right.tolist(),
        values,
        bounds,
        words,
    )


def _written(
    number: int,
    feature: list[int],
    threshold: list[float],
    decision: list[int],
    left: list[int],
    right: list[int],
    values: list[float],
    bounds: list[int],
    words: list[int],
) -> str:
    def row(name: str, of: Iterable[Any]) -> str:
        return f"{name}={' '.join(map(repr, of))}"

    zeros, ones = [0] * len(feature), [1] * len(values)
    lines = [
        f"Tree={number}",
        f"num_leaves={len(values)}",
        f"num_cat={len(bounds) - 1}",
        row("split_feature", feature),
        row("split_gain", zeros),
        row("threshold", threshold),
        row("decision_type", decision),
        row("left_child", left),
        row("right_child", right),
        row("leaf_value", values),
        row("leaf_weight", ones),
        row("leaf_count", ones),
        row("internal_value", zeros),
        row("internal_weight", zeros),
        row("internal_count", zeros),
    ]
    if words:
        lines += [row("cat_boundaries", bounds), row("cat_threshold", words)]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", ""])
