"""How good the verdicts are: a confusion matrix and a ROC curve, in numbers and in pictures.

The pictures go to the lake by the pipeline, and to the run of MLflow that logged the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import mlflow
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay, confusion_matrix, roc_auc_score

from millpond.lake.reference import ModelReference
from millpond.pipelines.context import StepContext

matplotlib.use("agg")
WORDS = ["paid back", "went bad"]


def confusion(predictions: pd.DataFrame, model: ModelReference, context: StepContext) -> dict[str, Any]:
    """How often which verdict met which outcome."""
    found = confusion_matrix(predictions["bad"], predictions["predicted"])
    figure = Figure(figsize=(4.6, 4), layout="constrained")
    display = ConfusionMatrixDisplay(found, display_labels=WORDS)
    display.plot(ax=figure.subplots(), colorbar=False, cmap="Blues")
    counts = [
        {"loan": word, **{f"said: {said}": int(count) for said, count in zip(WORDS, row, strict=True)}}
        for word, row in zip(WORDS, found, strict=True)
    ]
    return {"counts": counts, "picture": _logged(figure, "confusion-matrix.png", model, context)}


def roc(predictions: pd.DataFrame, model: ModelReference, context: StepContext) -> dict[str, Any]:
    """The area under the curve of hits over false alarms."""
    area = float(roc_auc_score(predictions["bad"], predictions["probability"]))
    figure = Figure(figsize=(4.6, 4), layout="constrained")
    RocCurveDisplay.from_predictions(
        predictions["bad"],
        predictions["probability"],
        ax=figure.subplots(),
        name="boosted trees",
        plot_chance_level=True,
    )
    with mlflow.start_run(run_id=model.run_id):
        mlflow.log_metric("roc_auc", area)
    return {"area": round(area, 6), "picture": _logged(figure, "roc.png", model, context)}


def _logged(figure: Figure, name: str, model: ModelReference, context: StepContext) -> Path:
    path = context.folder / name
    figure.savefig(path, dpi=120, metadata={"Software": None})
    mlflow.MlflowClient().log_artifact(model.run_id, str(path), "plots")
    return path
