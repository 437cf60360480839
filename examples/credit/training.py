"""Train boosted trees, let them predict, and make a model that is good enough the champion."""

from __future__ import annotations

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from transform import CATEGORIES, FEATURES, NUMBERS, TARGET

from millpond.lake.reference import ModelReference
from millpond.pipelines import tracking
from millpond.pipelines.context import StepContext

EXPERIMENT = "credit"
CHAMPION = "champion"
SIGNATURE = ModelSignature(
    inputs=Schema(
        [ColSpec("string", name) for name in CATEGORIES]
        + [ColSpec("double", name, required=False) for name in NUMBERS]
    ),
    outputs=Schema([TensorSpec(np.dtype("int64"), (-1,))]),
)


def boosted(rounds: int, seed: int) -> Pipeline:
    """Boosted trees; a category that they never saw is as good as none."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    columns = make_column_transformer((encoder, CATEGORIES), ("passthrough", NUMBERS))
    model = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=0.05,
        max_leaf_nodes=12,
        l2_regularization=1.0,
        categorical_features=list(range(len(CATEGORIES))),
        random_state=seed,
    )
    return make_pipeline(columns, model)


def train(learn: pd.DataFrame, seed: int, trees: int, context: StepContext) -> object:
    """Fit the trees, and log them to MLflow with where they come from."""
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run():
        model = boosted(trees, seed).fit(learn[FEATURES], learn[TARGET])
        mlflow.log_params({"trees": trees, "seed": seed, "rows_learn": len(learn)})
        tracking.log_origin(context)
        return mlflow.sklearn.log_model(
            model,
            name="model",
            signature=SIGNATURE,
            input_example=learn[FEATURES].head(3),
            serialization_format="cloudpickle",
            pip_requirements=tracking.requirements("scikit-learn", "pandas", "numpy", "cloudpickle"),
        )


def predict(model: ModelReference, judge: pd.DataFrame) -> pd.DataFrame:
    """The probability of each loan to go bad, the verdict, and what became of it."""
    loaded = mlflow.sklearn.load_model(model.uri)
    probability = loaded.predict_proba(judge[FEATURES])[:, 1]
    return judge.assign(probability=probability.round(6), predicted=(probability >= 0.5).astype("int64"))


def promote(model: ModelReference) -> ModelReference:
    """Register the model, and let the alias `champion` name it."""
    client = mlflow.MlflowClient()
    for known in client.search_model_versions(f"name = '{EXPERIMENT}'"):
        if known.tags.get("model") == model.uri:
            registered = ModelReference(
                f"models:/{EXPERIMENT}/{known.version}", EXPERIMENT, known.version, model.run_id
            )
            break
    else:
        registered = tracking.register(model, EXPERIMENT, {"model": model.uri})
    client.set_registered_model_alias(EXPERIMENT, CHAMPION, registered.version)
    print(f"{registered.uri} is {CHAMPION}")
    return registered
