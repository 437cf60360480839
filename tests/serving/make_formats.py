"""Writes a small model of one format, and what the framework itself predicts with it.

Usage: python make_formats.py FORMAT FOLDER; runs in the format's environment. FOLDER.json gets the rows and
the answers to them.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np

random = np.random.default_rng(0)
FEATURES = random.normal(size=(150, 4)).astype("float32").astype("float64")
TARGET = (FEATURES[:, 0] + FEATURES[:, 1] ** 2 > 0.5).astype(int)
NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROWS = FEATURES[:5]


def sklearn(folder: Path) -> np.ndarray:
    import joblib
    from sklearn.linear_model import LogisticRegression

    joblib.dump(LogisticRegression().fit(FEATURES, TARGET), folder / "model.joblib")
    return joblib.load(folder / "model.joblib").predict(ROWS)


def pickled(folder: Path) -> np.ndarray:
    import pickle

    import pandas
    from sklearn.ensemble import RandomForestRegressor

    table = pandas.DataFrame(FEATURES, columns=NAMES)
    model = RandomForestRegressor(5, random_state=0).fit(table, TARGET)
    (folder / "anything.pkl").write_bytes(pickle.dumps(model))
    return model.predict(table.head(5))


def skops(folder: Path) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier
    from skops import io

    model = DecisionTreeClassifier(random_state=0).fit(FEATURES, TARGET)
    io.dump(model, folder / "model.skops")
    return model.predict(ROWS)


def xgboost(folder: Path) -> np.ndarray:
    import xgboost as framework

    matrix = framework.DMatrix(FEATURES, TARGET)
    framework.train({"objective": "binary:logistic"}, matrix, 5).save_model(folder / "model.ubj")
    return framework.Booster(model_file=folder / "model.ubj").predict(framework.DMatrix(ROWS))


def xgboost_named(folder: Path) -> np.ndarray:
    import xgboost as framework

    matrix = framework.DMatrix(FEATURES, TARGET, feature_names=NAMES)
    framework.train({"objective": "multi:softprob", "num_class": 2}, matrix, 5).save_model(folder / "m.json")
    shutil.move(folder / "m.json", folder / "model.bst")
    booster = framework.Booster(model_file=bytearray((folder / "model.bst").read_bytes()))
    return booster.predict(framework.DMatrix(ROWS, feature_names=NAMES))


def lightgbm(folder: Path) -> np.ndarray:
    import lightgbm as framework

    data = framework.Dataset(FEATURES, TARGET, feature_name=NAMES)
    framework.train({"verbose": -1}, data, 5).save_model(folder / "model.txt")
    return framework.Booster(model_file=folder / "model.txt").predict(ROWS)


def onnx(folder: Path) -> dict[str, np.ndarray]:
    import onnxruntime

    shutil.copy(Path(__file__).parent / "logistic.onnx", folder / "model.onnx")
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"X": ROWS.astype("float32")}), strict=True))


def keras(folder: Path) -> np.ndarray:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras as framework

    layers = [framework.Input((4,)), framework.layers.Dense(8, "relu"), framework.layers.Dense(2, "softmax")]
    framework.Sequential(layers).save(folder / "model.keras")
    return framework.saving.load_model(folder / "model.keras").predict(ROWS.astype("float32"), verbose=0)


def torch(folder: Path) -> np.ndarray:
    import torch as framework

    layers = framework.nn.Sequential(
        framework.nn.Linear(4, 8), framework.nn.ReLU(), framework.nn.Linear(8, 2)
    )
    framework.jit.save(framework.jit.script(layers), folder / "model.pt")
    with framework.inference_mode():
        return framework.jit.load(folder / "model.pt")(
            framework.tensor(ROWS, dtype=framework.float32)
        ).numpy()


def python(folder: Path) -> np.ndarray:
    (folder / "model.py").write_text(
        "from pathlib import Path\n\n"
        "import numpy\n"
        "from weights import SHIFT\n\n\n"
        "class Scaled:\n"
        "    def load(self, folder: Path) -> None:\n"
        "        self.factor = float((folder / 'factor.txt').read_text())\n\n"
        "    async def predict(self, data):\n"
        "        return numpy.asarray(data).sum(axis=1) * self.factor + SHIFT\n"
    )
    (folder / "weights.py").write_text("SHIFT = 1.0\n")
    (folder / "factor.txt").write_text("2.5")
    return ROWS.sum(axis=1) * 2.5 + 1.0


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True)
    found = globals()[name](folder)
    outputs = found if isinstance(found, dict) else {"": found}
    expected = {
        "rows": ROWS.tolist(),
        "outputs": {key: np.asarray(value).tolist() for key, value in outputs.items()},
    }
    folder.with_suffix(".json").write_text(json.dumps(expected))


if __name__ == "__main__":
    main()
