"""Prints what the flights example's modules make; `probe` runs it beside them.

With the argument ``life``, it takes a small model through MLflow as well, and leaves the model in ``model``.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from pathlib import Path
from typing import Any

import arrival_delay
import numpy as np
import pandas as pd
import prepare
import sources
from arrival_delay import CATEGORIES, DEPARTURE, FEATURES, TARGET
from sklearn.pipeline import Pipeline

DATE, SEED = dt.date(2013, 4, 30), 7
EXAMPLE = Path(prepare.__file__).parent


def rows_of(request: str) -> pd.DataFrame:
    """A request as the server hands it to the model: numbers are doubles, null is missing."""
    body = json.loads((EXAMPLE / request).read_text(encoding="utf-8"))
    return pd.DataFrame(
        {
            column["name"]: np.asarray(
                column["data"], dtype=object if column["datatype"] == "BYTES" else "float64"
            )
            for column in body["inputs"]
        }
    )


def fitted(learn: pd.DataFrame) -> Pipeline:
    sample = learn.sample(10_000, random_state=SEED)
    return arrival_delay.build(SEED, 15, 50, 0.1).fit(sample[FEATURES], sample[TARGET])


def join() -> tuple[pd.DataFrame, dict[str, Any]]:
    flights, weather = sources.load_flights(DATE), sources.load_weather(DATE)
    joined = prepare.join(flights, weather, sources.load_planes(), sources.load_airports())
    arrived = flights[flights[TARGET].notna()].reset_index(drop=True)
    local = pd.to_datetime(flights[["year", "month", "day"]])
    # The timetable's minutes against the time in the air of flights that left and arrived as planned.
    punctual = (arrived[DEPARTURE].abs() <= 2) & (arrived[TARGET].abs() <= 2)
    spare = joined.loc[punctual, "scheduled_minutes"] - arrived.loc[punctual, "air_time"]
    return joined, {
        "flights": len(flights),
        "arrived": len(arrived),
        "joined": len(joined),
        "in_order": bool(joined[TARGET].equals(arrived[TARGET])),
        "columns": list(joined.columns),
        "last_day": f"{local.max():%Y-%m-%d}",
        "weather": float(joined["temp"].notna().mean()),
        "spare_minutes": [float(spare.quantile(share)) for share in (0.01, 0.99)],
    }


def split(joined: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    parts = prepare.split(joined, 1)
    days = {name: part[prepare.FLOWN_ON] for name, part in parts.items()}
    try:
        prepare.split(joined, 9)
    except Exception as error:
        refused = str(error)
    return parts, {
        "rows": {name: len(part) for name, part in parts.items()},
        "first": {name: f"{day.min():%Y-%m-%d}" for name, day in days.items()},
        "last": {name: f"{day.max():%Y-%m-%d}" for name, day in days.items()},
        "refused": refused,
    }


def predictions(model: Pipeline, again: Pipeline, judge: pd.DataFrame) -> dict[str, Any]:
    found = {path.name: float(model.predict(rows_of(path.name))[0]) for path in EXAMPLE.glob("request*.json")}
    shuffled = rows_of("request.json")[FEATURES[::-1]]
    return {
        "requests": found,
        "shuffled": float(model.predict(shuffled)[0]),
        "nowhere": float(model.predict(rows_of("request.json").assign(**dict.fromkeys(CATEGORIES, "?")))[0]),
        "repeatable": bool(np.array_equal(model.predict(judge), again.predict(judge))),
        "error": float(np.abs(model.predict(judge) - judge[TARGET]).mean()),
        "error_of_the_mean": float(np.abs(judge[TARGET].mean() - judge[TARGET]).mean()),
    }


def life(joined: pd.DataFrame) -> dict[str, Any]:
    """Train, evaluate, register and promote as the pipeline does, on an MLflow of its own."""
    import evaluation
    import mlflow
    import training

    from millpond.lake.reference import ModelReference, Reference
    from millpond.pipelines import tracking
    from millpond.pipelines.context import StepContext

    references = {
        "learn": Reference("s3://preprocessed/learn.parquet", version="v1", sha256="ab" * 32),
        "months": Reference.of_value(1, "number"),
    }
    context = StepContext(
        run_id="20130430-flights",
        pipeline="flights",
        step="train",
        parameters={},
        seed=SEED,
        inputs=references,
        code={"commit": "c0ffee", "dirty": True, "digest": "d1935"},
        environment="e42",
        log=logging.getLogger("step"),
        _report=lambda fraction, message: None,
        _scratch=Path.cwd,
    )
    try:
        tracking.log_origin(context)
    except Exception as error:
        outside = str(error)

    def registered(months: int, trees: int) -> tuple[ModelReference, dict[str, float], pd.DataFrame]:
        parts = prepare.split(joined, months)
        learn, judge = parts["learn"].sample(10_000, random_state=SEED), parts["judge"]
        made = training.train(learn, judge, DATE, SEED, trees, 50, 0.1, context)
        model = ModelReference.of(made["model"])
        return training.register(model, {}, judge, DATE, "flights"), made["metrics"], judge

    good = registered(1, 30)
    mlflow.set_experiment("of-another-pipeline")
    importance = evaluation.evaluate(good[0], good[2], SEED, context)
    poor, early = registered(1, 1), registered(2, 30)
    champions = [training.promote(*one, context).uri for one in (poor, good, poor, early, good)]

    run = mlflow.get_run(good[0].run_id)
    client = mlflow.MlflowClient()
    files = [
        entry.path
        for folder in (None, "plots", "environment")
        for entry in client.list_artifacts(run.info.run_id, folder)
    ]
    mlflow.artifacts.download_artifacts(good[0].uri, dst_path="model")
    return {
        "champions": champions,
        "versions": [one[0].uri for one in (good, poor, early)],
        "importance": list(importance),
        "params": run.data.params,
        "metrics": run.data.metrics,
        "tags": run.data.tags,
        "data": [[entry.dataset.name, entry.dataset.digest] for entry in run.inputs.dataset_inputs],
        "files": files,
        "outside": outside,
        "links": [tracking.run_link(good[0]), tracking.model_link(good[0])],
        "folder": str(Path("model").resolve()),
        "predicted": float(mlflow.pyfunc.load_model(good[0].uri).predict(rows_of("request.json"))[0]),
    }


if __name__ == "__main__":
    table, joined_facts = join()
    if sys.argv[1:] == ["life"]:
        result = life(table)
    else:
        parts, split_facts = split(table)
        models = [fitted(parts["learn"]) for _ in range(2)]
        result = {
            "join": joined_facts,
            "split": split_facts,
            "at_booking": arrival_delay.AT_BOOKING,
            "predictions": predictions(models[0], models[1], parts["judge"]),
        }
    json.dump(result, sys.stdout)
