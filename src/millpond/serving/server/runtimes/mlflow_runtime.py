"""MLflow's model folders, through pyfunc, whichever flavour wrote them."""

from __future__ import annotations

import logging
import os
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from millpond.serving.server.errors import one_line
from millpond.serving.server.runtimes.loaded import Loaded, LoadError

log = logging.getLogger(__name__)

_ROW_BY_ROW = ("mlflow.sklearn", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost")
"""Loaders whose predict treats every row by itself."""


def load(folder: Path, name: str) -> Loaded:
    """Load a folder that has a file ``MLmodel``.

    Raises:
        LoadError: there is none.
    """
    if not (folder / "MLmodel").is_file():
        raise LoadError(f"model {name}: {folder} is no MLflow model folder", hint="it has no file MLmodel")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow

    if mlflow.__version__.startswith(("1.", "2.")):
        # It makes a folder mlruns where it stands when nobody says where runs are: in the model's own files.
        scratch = Path(tempfile.gettempdir(), f"millpond-mlruns-{os.getuid()}")
        os.environ.setdefault("MLFLOW_TRACKING_URI", scratch.as_uri())
    import mlflow.pyfunc

    found = mlflow.pyfunc.load_model(str(folder))
    given = found.metadata.signature
    loader = found.loader_module or ""
    framework, its_version = _framework(loader)
    return Loaded(
        framework=framework,
        framework_version=its_version,
        predict=getattr(found, "_predict_fn", None) or found.predict,
        inputs=given.inputs if given is not None else None,
        outputs=given.outputs if given is not None else None,
        parameters=given.params if given is not None else None,
        predict_with=lambda data, parameters: found.predict(data, params=parameters or None),
        checks=_checks(found.metadata),
        estimator=_estimator(found, loader),
        rows_independent=True if loader in _ROW_BY_ROW else None,
        example=_example(found, folder, name),
    )


def _framework(loader: str) -> tuple[str, str]:
    """The flavour beside pyfunc that the model has, with the version that is installed here."""
    flavour = loader.removeprefix("mlflow.") if loader.startswith("mlflow.") else ""
    package = {"sklearn": "scikit-learn", "onnx": "onnxruntime", "pytorch": "torch"}.get(flavour, flavour)
    if flavour and not flavour.startswith("pyfunc"):
        try:
            return flavour, version(package)
        except PackageNotFoundError:
            return flavour, ""
    return "python", python_version()


def _checks(metadata: Any) -> bool:
    """Whether pyfunc does more before the model's predict than to enforce the signature."""
    stored = metadata.to_dict()
    return bool(stored.get("is_signature_from_type_hint") or stored.get("type_hint_from_example"))


def _estimator(found: Any, loader: str) -> Any:
    """The estimator that a native flavour wraps; its pyfunc may have been told to call another method."""
    if (
        loader not in _ROW_BY_ROW
        or getattr(found.metadata, "flavors", {}).get("python_function", {}).get("predict_fn", "predict")
        != "predict"
    ):
        return None
    try:
        if not hasattr(found, "get_raw_model"):  # MLflow before 2.16
            return getattr(found._model_impl, "sklearn_model", None)
        return found.get_raw_model()
    except Exception as error:
        log.debug("no raw model", exc_info=error)
        return None


def _example(found: Any, folder: Path, name: str) -> Any:
    try:
        if not hasattr(type(found), "input_example"):  # MLflow before 2.16
            return found.metadata.load_input_example(str(folder))
        return found.input_example
    except Exception as error:
        log.info("the input example of model %s cannot be read: %s", name, one_line(error))
        return None
