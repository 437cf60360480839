"""Makes the models that are served, and one request for each; runs in the science environment.

Usage: python models.py FOLDER [NAME ...]; the folder gets a folder for each of iris, flights and onnx with

- ``mlflow/``: an MLflow model folder (not for onnx), ``model.joblib`` or ``model.onnx``: the same model;
- ``request.json``: the columns of the one row that is asked for, by name;
- ``expected.json``: what every server has to answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

warnings.simplefilter("ignore")
HERE = Path(__file__).resolve().parent
FLIGHTS = HERE.parents[1] / "examples/flights"
sys.path.insert(0, str(FLIGHTS))
import arrival_delay  # noqa: E402
import training  # noqa: E402

ROWS = 20_000


def iris(folder: Path) -> None:
    """Four numbers, a class: a logistic regression."""
    table, target = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(table, target)
    mlflow.sklearn.save_model(
        model,
        str(folder / "mlflow"),
        signature=infer_signature(table, model.predict(table)),
        input_example=table.head(2),
        skops_trusted_types=["sklearn.linear_model._logistic.LogisticRegression"],
    )
    write(folder, model, table.head(1))


def flights(folder: Path) -> None:
    """The flights demo's gradient-boosted trees, with its settings, on flights that are made up."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {name: random.choice(list("ABCDEFGHIJKLMNOP"), ROWS) for name in arrival_delay.CATEGORIES}
    )
    for name in arrival_delay.FEATURES:
        if name not in arrival_delay.CATEGORIES:
            table[name] = random.normal(size=ROWS) * 50
    table = table[arrival_delay.FEATURES]
    delay = table["dep_delay"] + (table["carrier"] == "A") * 20 + np.sin(table["distance"] / 20) * 10
    model = arrival_delay.build(seed=0, trees=300, leaf=20, rate=0.1).fit(table, delay)
    mlflow.sklearn.save_model(
        model,
        str(folder / "mlflow"),
        signature=training.SIGNATURE,
        input_example=table.head(3),
        serialization_format="skops",
        skops_trusted_types=training.TRUSTED,
        code_paths=[arrival_delay.__file__],
    )
    write(folder, model, table.head(1))


def write(folder: Path, model: object, row: pd.DataFrame) -> None:
    """The model for those who do not read MLflow's folders, and what is asked and answered."""
    joblib.dump(model, folder / "model.joblib")
    columns = {str(name): values.tolist() for name, values in row.items()}
    (folder / "request.json").write_text(json.dumps(columns))
    answer = model.predict(row if folder.name == "flights" else row.to_numpy())
    (folder / "expected.json").write_text(json.dumps(answer.tolist()))


def main() -> None:
    """All of them, unless they are there."""
    root = Path(sys.argv[1])
    wanted = sys.argv[2:] or ["iris", "flights", "onnx"]
    for make in (iris, flights):
        folder = root / make.__name__
        if make.__name__ in wanted and not (folder / "expected.json").exists():
            folder.mkdir(parents=True, exist_ok=True)
            make(folder)
    folder = root / "onnx"
    if "onnx" in wanted and not (folder / "expected.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [os.environ["BENCH_ONNX_PYTHON"], str(HERE / "onnx_model.py"), str(folder)], check=True
        )


if __name__ == "__main__":
    main()
