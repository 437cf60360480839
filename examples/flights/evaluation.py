"""Where the model errs and what it goes by: three plots and a ranking, added to the run that trained it."""

from __future__ import annotations

import matplotlib
import mlflow
import numpy as np
import pandas as pd
from arrival_delay import FEATURES, TARGET
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from millpond.lake.reference import ModelReference
from millpond.pipelines.context import StepContext

matplotlib.use("Agg")
from matplotlib.figure import Figure  # the backend has to be chosen first

SAMPLE = 4_000
"""Flights that the importance is measured on; more change the third figure, and take longer."""


def evaluate(model: ModelReference, judge: pd.DataFrame, seed: int, context: StepContext) -> dict[str, float]:
    """Log plots, and return by how many minutes the error grows when a feature is shuffled."""
    fitted = mlflow.sklearn.load_model(model.uri, dst_path=str(context.folder))
    context.progress(0.2, "predicting the later months")
    predicted = fitted.predict(judge[FEATURES])
    context.progress(0.4, "shuffling one feature after the other")
    ranking = importance(fitted, judge, seed)
    context.progress(0.8, "drawing")
    figures = {
        "predicted-and-actual": predicted_and_actual(judge[TARGET], predicted),
        "error-by-hour-and-carrier": error_by_hour_and_carrier(judge, predicted),
        "permutation-importance": ranked(ranking),
    }
    # By the client, not as the active run: the run belongs to `train`, which is over, and the process may
    # have another pipeline's experiment set.
    client = mlflow.MlflowClient()
    for name, figure in figures.items():
        client.log_figure(model.run_id, figure, f"plots/{name}.png")
    client.log_dict(model.run_id, ranking, "permutation-importance.json")
    return ranking


def importance(fitted: Pipeline, judge: pd.DataFrame, seed: int) -> dict[str, float]:
    """Feature -> minutes of mean absolute error that it saves, greatest first."""
    sample = judge.sample(min(SAMPLE, len(judge)), random_state=seed)
    found = permutation_importance(
        fitted,
        sample[FEATURES],
        sample[TARGET],
        scoring="neg_mean_absolute_error",
        n_repeats=2,
        random_state=seed,
    )
    order = np.argsort(-found.importances_mean, kind="stable")
    return {FEATURES[index]: float(found.importances_mean[index]) for index in order}


def predicted_and_actual(actual: pd.Series, predicted: np.ndarray) -> Figure:
    """How the two agree, on the delays between an hour early and three hours late."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    cells = axes.hexbin(
        predicted, actual, gridsize=60, bins="log", extent=(-60, 180, -60, 180), cmap="viridis"
    )
    axes.plot([-60, 180], [-60, 180], color="white", linewidth=1)
    axes.set(xlabel="Predicted delay (minutes)", ylabel="Actual delay (minutes)")
    figure.colorbar(cells, label="Flights")
    return figure


def error_by_hour_and_carrier(judge: pd.DataFrame, predicted: np.ndarray) -> Figure:
    """Mean absolute error by the hour of departure and by carrier."""
    error = pd.DataFrame(
        {
            "hour": judge["hour"].astype(int),
            "carrier": judge["carrier"].astype(str),
            "error": np.abs(judge[TARGET] - predicted),
        }
    )
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, by in zip(figure.subplots(1, 2, sharey=True), ("hour", "carrier"), strict=True):
        means = error.groupby(by)["error"].mean()
        axes.bar(means.index.astype(str), means)
        axes.set(xlabel=by.capitalize(), ylabel="Mean absolute error (minutes)" if by == "hour" else "")
        axes.tick_params(labelsize=8)
    return figure


def ranked(ranking: dict[str, float]) -> Figure:
    """The importance of each feature as a bar."""
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    names = list(ranking)[::-1]
    axes.barh(names, [ranking[name] for name in names])
    axes.set(xlabel="Error added by shuffling (minutes)")
    return figure
