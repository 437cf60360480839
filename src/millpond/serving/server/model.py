"""The model of this process: an MLflow folder, loaded, warmed up, and asked one request at a time.

Models come from the platform's own registry and are trusted: loading one may run its code.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from millpond.model.errors import MillpondError
from millpond.serving.server.errors import InvalidRequest, ModelFailed, RequestError, one_line
from millpond.serving.server.results import outputs_of
from millpond.serving.server.signature import Signature
from millpond.serving.server.tensors import Prediction, Request

log = logging.getLogger(__name__)


class LoadError(MillpondError):
    """The folder holds no model that this environment can load and run."""


@dataclass(slots=True)
class Model:
    """A loaded model.

    `predict` is pyfunc's own, without its schema enforcement where `Signature` has done all of it:
    that halves the time of a small model. `load_seconds` counts the warm-up too.
    """

    name: str
    version: str
    signature: Signature
    predict: Callable[[Any], Any]
    predict_with: Callable[[Any, dict[str, Any]], Any]
    load_seconds: float = 0.0

    def answer(self, request: Request) -> Prediction:
        """The prediction for a request.

        Raises:
            RequestError: the request does not fit the model, or the model raised.
        """
        data = self.signature.arrange(request)
        try:
            result = self._predict(data, request)
            return outputs_of(result, self.signature.output_names)
        except RequestError:
            raise
        except Exception as error:
            raise ModelFailed(self.name, error) from error

    def _predict(self, data: Any, request: Request) -> Any:
        if self.signature.exact:
            return self.predict(data)
        from mlflow.exceptions import MlflowException

        parameters = request.parameters if self.signature.has_parameters else {}
        try:
            return self.predict_with(data, parameters)
        except MlflowException as error:
            if "enforce schema" in str(error):
                raise InvalidRequest(f"the model refuses the request: {one_line(error)}") from error
            raise


def load(folder: Path, name: str, version: str) -> Model:
    """Load a model folder and run it once on its own input example.

    Raises:
        LoadError: with one sentence of what stands in the way.
    """
    started = perf_counter()
    if not (folder / "MLmodel").is_file():
        raise LoadError(f"model {name}: {folder} is no MLflow model folder", hint="it has no file MLmodel")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import mlflow.pyfunc

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = mlflow.pyfunc.load_model(str(folder))
    except Exception as error:
        log.debug("loading failed", exc_info=error)
        raise LoadError(
            f"model {name} cannot be loaded: {one_line(error)}", hint=_load_hint(error)
        ) from error
    model = _of(loaded, name, version)
    _warm_up(loaded, model)
    model.load_seconds = perf_counter() - started
    return model


def _of(loaded: Any, name: str, version: str) -> Model:
    given = loaded.metadata.signature
    inputs, outputs = (given.inputs, given.outputs) if given is not None else (None, None)
    signature = Signature(inputs, outputs, given.params if given is not None else None)
    signature.exact = signature.exact and not _wants_enforcement(loaded.metadata)
    direct = getattr(loaded, "_predict_fn", None) if signature.exact else None
    return Model(
        name=name,
        version=version,
        signature=signature,
        predict=direct or loaded.predict,
        predict_with=lambda data, parameters: loaded.predict(data, params=parameters or None),
    )


def _wants_enforcement(metadata: Any) -> bool:
    """Whether pyfunc does more before the model's predict than to enforce the signature."""
    stored = metadata.to_dict()
    return bool(stored.get("is_signature_from_type_hint") or stored.get("type_hint_from_example"))


def _warm_up(loaded: Any, model: Model) -> None:
    try:
        example = loaded.input_example
    except Exception as error:
        log.info("the input example of model %s cannot be read: %s", model.name, one_line(error))
        return
    if example is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outputs_of(loaded.predict(example), model.signature.output_names)
    except Exception as error:
        log.debug("warming up failed", exc_info=error)
        raise LoadError(f"model {model.name} fails on its own input example: {one_line(error)}") from error


def _load_hint(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError):
        return f"the serving environment has no {error.name}"
    return None
