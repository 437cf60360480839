"""Train the trees, judge them against simpler answers, register and promote them in MLflow."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import arrival_delay
import mlflow
import numpy as np
import pandas as pd
from arrival_delay import CATEGORIES, DEPARTURE, FEATURES, REQUIRED, TARGET
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from prepare import FLOWN_ON
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from millpond.lake.reference import ModelReference
from millpond.pipelines import tracking
from millpond.pipelines.context import StepContext

EXPERIMENT = "flights"
CHAMPION = "champion"
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec("string" if name in CATEGORIES else "double", name, required=name in REQUIRED)
            for name in FEATURES
        ]
    ),
    outputs=Schema([TensorSpec(np.dtype("float64"), (-1,))]),
)
# skops, not cloudpickle: a skops file is data that is checked against a list of types when it is read, a
# pickle is a program. These are the types beyond scikit-learn's public ones that the model consists of;
# two are our own, and travel with it as code.
TRUSTED = [
    "arrival_delay.Columns",
    "arrival_delay.DelayOnTheWay",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn._loss._loss.CyHalfSquaredError",
    # How the trees take their categories: a check of the array, with its settings.
    "functools.partial",
    "sklearn.utils.validation.check_array",
]


def judge_by(actual: pd.Series, predicted: np.ndarray | pd.Series) -> dict[str, float]:
    """Mean absolute error and root mean squared error in minutes, and R2."""
    return {
        "mae": float(mean_absolute_error(actual, predicted)),
        "rmse": float(root_mean_squared_error(actual, predicted)),
        "r2": float(r2_score(actual, predicted)),
    }


def train(
    learn: pd.DataFrame,
    judge: pd.DataFrame,
    date: dt.date,
    seed: int,
    trees: int,
    leaf: int,
    rate: float,
    context: StepContext,
) -> dict[str, Any]:
    """Fit on the earlier flights, judge on the later ones, and log the run with everything that led to it."""
    context.progress(0.1, f"fitting {trees} trees on {len(learn):,} flights")
    model = arrival_delay.build(seed, trees, leaf, rate).fit(learn[FEATURES], learn[TARGET])
    metrics = judge_by(judge[TARGET], model.predict(judge[FEATURES]))
    print(", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))
    context.progress(0.6, "logging to MLflow")
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=f"trees {date}", tags={"date": str(date)}):
        mlflow.log_params(
            {"date": date, "seed": seed, "trees": trees, "min_samples_leaf": leaf, "learning_rate": rate}
        )
        mlflow.log_params(
            {"flights_learn": len(learn), "flights_judge": len(judge), "features": ",".join(FEATURES)}
        )
        mlflow.log_metrics(metrics)
        tracking.log_origin(context)
        info = mlflow.sklearn.log_model(
            model,
            name="model",
            signature=SIGNATURE,
            input_example=judge[FEATURES].head(3),
            serialization_format="skops",
            skops_trusted_types=TRUSTED,
            code_paths=[str(Path(arrival_delay.__file__))],
            pip_requirements=tracking.requirements("scikit-learn", "skops", "pandas", "numpy"),
        )
    return {"model": info, "metrics": metrics}


def baselines(
    learn: pd.DataFrame, judge: pd.DataFrame, seed: int, trees: int, leaf: int, rate: float
) -> dict[str, dict[str, float]]:
    """What simpler answers reach on the same later flights, so that the model's figures mean something.

    `mean`: always the same delay. `departure`: as late as it left, less what flights make up on average.
    `at_booking`: the same trees on the timetable alone, which is all that can be said long before.
    """
    actual = judge[TARGET]
    on_the_way = (learn[TARGET] - learn[DEPARTURE]).mean()
    at_booking = arrival_delay.build_at_booking(seed, trees, leaf, rate).fit(learn[FEATURES], learn[TARGET])
    found = {
        "mean": judge_by(actual, np.full(len(actual), learn[TARGET].mean())),
        "departure": judge_by(actual, judge[DEPARTURE] + on_the_way),
        "at_booking": judge_by(actual, at_booking.predict(judge[FEATURES])),
    }
    for name, metrics in found.items():
        print(f"{name}: " + ", ".join(f"{metric} {value:.4f}" for metric, value in metrics.items()))
    return found


def register(
    model: ModelReference,
    baselines: dict[str, dict[str, float]],
    judge: pd.DataFrame,
    date: dt.date,
    name: str,
) -> ModelReference:
    """Add a version of `name`; from its tag `judged_from` on, it has seen no flight."""
    client = mlflow.MlflowClient()
    for baseline, found in baselines.items():
        for metric, value in found.items():
            client.log_metric(model.run_id, f"baseline_{baseline}_{metric}", value)
    return tracking.register(model, name, {"date": str(date), "judged_from": _first_day(judge)})


def promote(
    model: ModelReference, metrics: dict[str, float], judge: pd.DataFrame, context: StepContext
) -> ModelReference:
    """Make a version the champion unless the present champion is better, and return the champion.

    Both are judged on the same later flights; at equal error the new one wins. A champion that has learnt
    from some of these flights cannot be judged on them and stays: the new version is a back-fill.
    """
    client = mlflow.MlflowClient()
    champion = _champion(client, str(model.name))
    if champion is not None:
        present = ModelReference(
            f"models:/{model.name}/{champion.version}", model.name, str(champion.version), champion.run_id
        )
        if present.version == model.version:
            print(f"{model.uri} is champion already")
            return present
        if champion.tags.get("judged_from", "") > _first_day(judge):
            print(f"{present.uri} stays champion: it has learnt from flights that {model.uri} is judged on")
            return present
        holder = mlflow.sklearn.load_model(present.uri, dst_path=str(context.folder))
        error = judge_by(judge[TARGET], holder.predict(judge[FEATURES]))["mae"]
        if round(error, 6) < round(metrics["mae"], 6):
            print(f"{present.uri} stays champion: {error:.4f} minutes against {metrics['mae']:.4f}")
            return present
    client.set_registered_model_alias(model.name, CHAMPION, model.version)
    print(f"{model.uri} is champion")
    return model


def _champion(client: mlflow.MlflowClient, name: str) -> ModelVersion | None:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _first_day(flights: pd.DataFrame) -> str:
    return f"{flights[FLOWN_ON].min():%Y-%m-%d}"
