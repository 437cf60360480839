"""Compiles a sample of scikit-learn's estimators and prints, as JSON, what became of each.

Runs in the science environment: python compile_estimators.py
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sklearn import ensemble, linear_model, svm, tree
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

from millpond.serving.server.compiled import compiled
from millpond.serving.server.model import Model
from millpond.serving.server.runtimes import Loaded
from millpond.serving.server.signature import Signature

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/flights"))
import arrival_delay

warnings.simplefilter("ignore")
random = np.random.default_rng(0)
ROWS = 400
NUMBERS = pd.DataFrame(random.normal(size=(ROWS, 5)) * 10, columns=list("abcde"))
REAL = (NUMBERS["a"] * 2 - NUMBERS["b"] + random.normal(size=ROWS)).to_numpy()
CLASSES = np.digitize(REAL, [-10, 10])
WORDS = np.array(["low", "middle", "high"], dtype=object)[CLASSES]
HOLES = NUMBERS.mask(random.random(NUMBERS.shape) < 0.1)
MIXED = HOLES.assign(word=random.choice(["x", "y", "z"], ROWS), other=random.choice(["p", "q"], ROWS))
ONE_WORD = MIXED.drop(columns="other")


class Halved:
    """Someone's own class around an estimator."""

    def __init__(self, inner: object) -> None:
        self.inner_ = inner

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return self.inner_.predict(table[["a", "b"]]) / 2 + table["c"].to_numpy(dtype=float)


class Wide:
    """Someone's own class that does what only pandas can."""

    def __init__(self, inner: object) -> None:
        self.inner_ = inner

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        return table.groupby("a")["b"].transform("sum").to_numpy()


def encoded(*, unknown: str = "ignore") -> ColumnTransformer:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return ColumnTransformer(
        [
            ("words", OneHotEncoder(handle_unknown=unknown), ["word", "other"]),
            ("numbers", numbers, list("abc")),
        ]
    )


def codes() -> ColumnTransformer:
    coder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer([("words", coder, ["word"])], remainder="passthrough")


def cases() -> dict[str, tuple[object, pd.DataFrame, np.ndarray]]:
    lm, es = linear_model, ensemble
    histogram = es.HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype")
    return {
        "linear": (lm.LinearRegression(), NUMBERS, REAL),
        "ridge, two targets": (lm.Ridge(), NUMBERS, np.c_[REAL, REAL * 2]),
        "poisson": (lm.PoissonRegressor(), NUMBERS / 10, np.abs(REAL)),
        "logistic, two classes": (lm.LogisticRegression(), NUMBERS, CLASSES > 1),
        "logistic, three words": (lm.LogisticRegression(max_iter=500), NUMBERS, WORDS),
        "scaled": (make_pipeline(MinMaxScaler(), lm.RidgeClassifier()), NUMBERS, CLASSES),
        "support vectors, linear": (svm.LinearSVC(), NUMBERS, CLASSES),
        "tree": (tree.DecisionTreeRegressor(max_depth=6), NUMBERS, REAL),
        "tree, words": (tree.DecisionTreeClassifier(max_depth=6), NUMBERS, WORDS),
        "tree, missing": (tree.DecisionTreeRegressor(max_depth=6), HOLES, REAL),
        "forest": (es.RandomForestRegressor(20), NUMBERS, REAL),
        "forest, words": (es.RandomForestClassifier(20), NUMBERS, WORDS),
        "forest, missing": (es.RandomForestClassifier(20), HOLES, CLASSES),
        "extra trees": (es.ExtraTreesClassifier(20), NUMBERS, CLASSES),
        "boosting": (es.GradientBoostingRegressor(n_estimators=30), NUMBERS, REAL),
        "boosting, two classes": (es.GradientBoostingClassifier(n_estimators=30), NUMBERS, CLASSES > 1),
        "boosting, words": (es.GradientBoostingClassifier(n_estimators=30), NUMBERS, WORDS),
        "histogram": (es.HistGradientBoostingRegressor(max_iter=30), HOLES, REAL),
        "histogram, poisson": (
            es.HistGradientBoostingRegressor(max_iter=30, loss="poisson"), NUMBERS, np.abs(REAL)
        ),
        "histogram, words": (histogram, HOLES, WORDS),
        "histogram, two classes": (es.HistGradientBoostingClassifier(max_iter=30), HOLES, CLASSES > 1),
        "one-hot, linear": (make_pipeline(encoded(), lm.Ridge()), MIXED, REAL),
        "one-hot that refuses": (make_pipeline(encoded(unknown="error"), lm.Ridge()), MIXED, REAL),
        "codes, forest": (make_pipeline(codes(), es.RandomForestRegressor(9)), ONE_WORD.fillna(0), REAL),
        "own class": (Halved(lm.Ridge().fit(NUMBERS[["a", "b"]], REAL)), NUMBERS, REAL),
        "own class on pandas": (Wide(lm.Ridge().fit(NUMBERS[["a", "b"]], REAL)), NUMBERS, REAL),
        "support vectors": (svm.SVC(), NUMBERS, CLASSES),
    }  # fmt: skip


def flights() -> tuple[object, pd.DataFrame]:
    """The flights demo's model on made-up flights."""
    table = pd.DataFrame({name: random.choice(list("ABCDEFG"), 3000) for name in arrival_delay.CATEGORIES})
    for name in arrival_delay.FEATURES:
        if name not in arrival_delay.CATEGORIES:
            table[name] = random.normal(size=3000) * 50
        if name in arrival_delay.OPTIONAL:
            table.loc[random.random(3000) < 0.1, name] = np.nan
    table = table[arrival_delay.FEATURES]
    delay = table["dep_delay"] + (table["carrier"] == "A") * 20 + table["hour"] / 5
    return arrival_delay.build(0, 60, 20, 0.1).fit(table, delay), table


def result(estimator: object, table: pd.DataFrame, optional: tuple[str, ...] = ()) -> dict[str, object]:
    kinds = {name: "double" if table[name].dtype.kind == "f" else "string" for name in table}
    schema = Schema([ColSpec(kind, name, required=name not in optional) for name, kind in kinds.items()])
    signature = ModelSignature(inputs=schema)
    loaded = Loaded(
        framework="sklearn",
        framework_version="",
        predict=estimator.predict,
        estimator=estimator,
        rows_independent=True,
        example=table.head(3),
    )
    form, reason = compiled(Model("m", "1", Signature(signature.inputs, None), loaded), 1e-5)
    return {"used": form is not None, "reason": reason}


def main() -> None:
    found = {}
    for name, (estimator, table, target) in cases().items():
        fitted = estimator.fit(table, target) if hasattr(estimator, "fit") else estimator
        found[name] = result(fitted, table)
    found["flights"] = result(*flights(), tuple(arrival_delay.OPTIONAL))
    sys.stdout.write(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
