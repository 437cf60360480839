"""Train a decision tree on the waiting list, track it in MLflow, register it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from prepare import FEATURES, TARGET
from sklearn.compose import ColumnTransformer
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

from millpond.lake.reference import ModelReference
from millpond.pipelines import tracking
from millpond.pipelines.context import StepContext

EXPERIMENT = "wachttijden"
CHAMPION = "champion"
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", name) for name in FEATURES]),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1,))]),
)
# skops, not cloudpickle: a skops file is data that is checked against a list of types when it is read, a
# pickle is a program. The tree's own type is compiled code that skops does not know by itself, so it is
# named here.
TRUSTED = ["sklearn.tree._tree.Tree"]


def build(seed: int, depth: int, leaf: int) -> Pipeline:
    """One-hot columns, then a tree; a value never seen before is none of the columns."""
    encode = ColumnTransformer([("values", OneHotEncoder(handle_unknown="ignore"), FEATURES)])
    tree = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=leaf, random_state=seed)
    return Pipeline([("encode", encode), ("tree", tree)])


def split(prepared: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """80 % to learn from and 20 % to be judged on, the same rows for the same seed.

    At random, not by time: the question is what the list says of a wait that was not told, not what the
    list will say next month.
    """
    learn, judge = train_test_split(prepared, test_size=0.2, random_state=seed)
    return learn, judge


def fit(
    learn: pd.DataFrame, judge: pd.DataFrame, seed: int, depth: int, leaf: int
) -> tuple[Pipeline, dict[str, float]]:
    """The fitted pipeline, and its r2, mae and rmse (in days) on the rows that it did not see."""
    model = build(seed, depth, leaf).fit(learn[FEATURES], learn[TARGET])
    predicted = model.predict(judge[FEATURES])
    return model, {
        "r2": float(r2_score(judge[TARGET], predicted)),
        "mae": float(mean_absolute_error(judge[TARGET], predicted)),
        "rmse": float(root_mean_squared_error(judge[TARGET], predicted)),
    }


def train(
    prepared: pd.DataFrame, date: dt.date, seed: int, depth: int, leaf: int, context: StepContext
) -> dict[str, Any]:
    """Fit, and log parameters, metrics, a plot, the model, its code, data and environment."""
    learn, judge = split(prepared, seed)
    context.progress(0.2, "fitting")
    model, metrics = fit(learn, judge, seed, depth, leaf)
    print(", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    context.progress(0.5, "logging to MLflow")
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=f"tree {date}", tags={"date": str(date)}):
        mlflow.log_params({"date": date, "seed": seed, "max_depth": depth, "min_samples_leaf": leaf})
        mlflow.log_params({"rows_train": len(learn), "rows_test": len(judge)})
        mlflow.log_metrics(metrics)
        tracking.log_origin(context)
        mlflow.log_figure(by_specialism(judge, model.predict(judge[FEATURES])), "plots/by-specialism.png")
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=SIGNATURE,
            input_example=judge[FEATURES].head(3).reset_index(drop=True),
            serialization_format="skops",
            skops_trusted_types=TRUSTED,
            pip_requirements=tracking.requirements("scikit-learn", "skops", "pandas", "numpy"),
        )
    return {"model": info, "metrics": metrics}


def by_specialism(judge: pd.DataFrame, predicted: np.ndarray) -> Figure:
    """The mean wait of each specialism beside its mean prediction, on rows that the model did not see."""
    table = judge[["SPECIALISME", TARGET]].assign(predicted=predicted)
    means = table.groupby("SPECIALISME")[[TARGET, "predicted"]].mean().sort_values(TARGET)
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes = figure.subplots()
    axes.barh(means.index.astype(str), means[TARGET], color="lightsteelblue", label="Actual")
    axes.plot(means["predicted"], means.index.astype(str), "o", color="black", label="Predicted")
    axes.set(xlabel="Mean wait (days)")
    axes.legend()
    return figure


def register(model: ModelReference, name: str) -> ModelReference:
    """A new version of the registered model `name`."""
    return tracking.register(model, name)


def promote(model: ModelReference) -> None:
    """Let the alias `champion` name the version that is deployed."""
    mlflow.MlflowClient().set_registered_model_alias(model.name, CHAMPION, model.version)
    print(f"{model.uri} is {CHAMPION}")
