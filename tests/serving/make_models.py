"""Writes the models that the serving tests use; runs in the science environment.

Usage: python make_models.py FOLDER
"""

import sys
import time
import warnings
from pathlib import Path

import mlflow
import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import AnyType, Array, Object, Property
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeRegressor

warnings.simplefilter("ignore")
root = Path(sys.argv[1])


def waiting(folder: Path, *, signature: bool, unseen: str) -> None:
    """The waiting-times tree: four columns of strings, one number."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "TYPE_WACHTTIJD": random.choice(["Behandeling", "Polikliniekbezoek", "Diagnostiek"], 300),
            "SPECIALISME": random.choice(["KNO (302)", "Orthopedie (305)"], 300),
            "ROAZ_REGIO": random.choice(["Noordwest", "Oost"], 300),
            "TYPE_ZORGINSTELLING": random.choice(["Kliniek", "Ziekenhuis"], 300),
        }
    )
    steps = [("encode", OneHotEncoder(handle_unknown=unseen)), ("tree", DecisionTreeRegressor(max_depth=5))]
    model = Pipeline(steps).fit(table, random.gamma(2, 20, 300))
    mlflow.sklearn.save_model(
        model,
        str(folder),
        signature=infer_signature(table, model.predict(table)) if signature else None,
        input_example=table.head(2) if signature else None,
        skops_trusted_types=["sklearn.tree._tree.Tree"],
    )


def iris(folder: Path) -> None:
    """Four numbers, one class."""
    features, target = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(features, target)
    signature = infer_signature(features, model.predict(features))
    mlflow.sklearn.save_model(
        model,
        str(folder),
        signature=signature,
        input_example=features.head(2),
        skops_trusted_types=["sklearn.linear_model._logistic.LogisticRegression"],
    )


KEPT: list[bytearray] = []


class Echo(mlflow.pyfunc.PythonModel):
    """Gives its columns back; sleeps, leaks, loses rows and fails when its input says so."""

    def predict(self, context, model_input, params=None):
        if "sleep" in model_input:
            time.sleep(float(model_input["sleep"].max()))
        if "leak" in model_input:
            KEPT.append(bytearray(int(model_input["leak"].max())))
        if "rows" in model_input:
            return model_input.iloc[: int(model_input["rows"].max())]
        if "fail" in model_input and model_input["fail"].any():
            raise RuntimeError("the model was\ntold to fail")
        return model_input


class Sums(mlflow.pyfunc.PythonModel):
    """Sums a tensor's rows."""

    def predict(self, context, model_input, params=None):
        return model_input.sum(axis=(1, 2))


class Mirror(mlflow.pyfunc.PythonModel):
    """Gives back whatever it is given."""

    def predict(self, context, model_input, params=None):
        return model_input


class Slow(mlflow.pyfunc.PythonModel):
    """Takes its time to load."""

    def load_context(self, context):
        time.sleep(10)

    def predict(self, context, model_input, params=None):
        return model_input


class Unloadable(mlflow.pyfunc.PythonModel):
    """Cannot be loaded."""

    def load_context(self, context):
        raise RuntimeError("this model never loads")

    def predict(self, context, model_input, params=None):
        return model_input


class Moody(mlflow.pyfunc.PythonModel):
    """Answers every other request."""

    def load_context(self, context):
        self.asked = 0

    def predict(self, context, model_input, params=None):
        self.asked += 1
        if self.asked % 2:
            raise RuntimeError("not in the mood")
        return np.zeros(len(model_input))


class Weary(mlflow.pyfunc.PythonModel):
    """Takes its time to answer."""

    def predict(self, context, model_input, params=None):
        time.sleep(0.2)
        return np.zeros(len(model_input))


def echo(folder: Path) -> None:
    kinds = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
    columns = [ColSpec(kind, f"a_{kind}", required=False) for kind in kinds]
    columns += [ColSpec("double", name, required=False) for name in ("sleep", "leak", "rows")]
    columns += [ColSpec("boolean", "fail", required=False)]
    columns.append(ColSpec("double", "number"))
    mlflow.pyfunc.save_model(
        str(folder), python_model=Echo(), signature=ModelSignature(inputs=Schema(columns))
    )


def kinds(folder: Path) -> None:
    names = ["boolean", "integer", "long", "float", "double", "string", "binary", "datetime"]
    columns = [ColSpec(kind, f"a_{kind}", required=False) for kind in names]
    columns += [ColSpec(Array(DataType.double), "an_array", required=False)]
    columns += [ColSpec(Object([Property("a", DataType.long)]), "an_object", required=False)]
    columns += [ColSpec(AnyType(), "anything", required=False), ColSpec("double", "number")]
    mlflow.pyfunc.save_model(
        str(folder), python_model=Mirror(), signature=ModelSignature(inputs=Schema(columns))
    )


def sums(folder: Path) -> None:
    signature = ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 2, 3))]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1,))]),
    )
    mlflow.pyfunc.save_model(str(folder), python_model=Sums(), signature=signature)


def main() -> None:
    waiting(root / "waiting", signature=True, unseen="ignore")
    waiting(root / "nosignature", signature=False, unseen="error")
    iris(root / "iris")
    echo(root / "echo")
    kinds(root / "kinds")
    sums(root / "sums")
    mlflow.pyfunc.save_model(str(root / "mirror"), python_model=Mirror())
    mlflow.pyfunc.save_model(str(root / "slow"), python_model=Slow())
    mlflow.pyfunc.save_model(str(root / "unloadable"), python_model=Unloadable())
    mlflow.pyfunc.save_model(str(root / "moody"), python_model=Moody())
    mlflow.pyfunc.save_model(str(root / "weary"), python_model=Weary())


if __name__ == "__main__":
    main()
