"""The model of this process: loaded by its format's runtime, warmed up, and asked.

Models come from the platform's own registry and are trusted: loading one may run its code.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from millpond.serving.server import runtimes
from millpond.serving.server.errors import InvalidRequest, ModelFailed, NonsenseRows, RequestError, one_line
from millpond.serving.server.onecore import one_core
from millpond.serving.server.plain import Plain
from millpond.serving.server.results import outputs_of
from millpond.serving.server.runtimes import Loaded, LoadError
from millpond.serving.server.signature import Signature
from millpond.serving.server.table import Table, count_of
from millpond.serving.server.tensors import Prediction, Request

if TYPE_CHECKING:
    from millpond.serving.server.compiled import Form

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Model:
    """A loaded model.

    The framework's own checks are left out where `Signature` has done all of them: that halves the time of a
    small MLflow model. `load_seconds` counts the warm-up too.
    """

    name: str
    version: str
    signature: Signature
    loaded: Loaded
    load_seconds: float = 0.0
    seconds: float | None = None
    joins: bool | None = None
    joins_reason: str = "there was no example to try it on"
    form: Form | None = None
    form_reason: str = "it was not asked for"
    plain: Plain = field(init=False)

    def __post_init__(self) -> None:
        self.plain = Plain(self.signature)

    @property
    def direct(self) -> bool:
        """Whether nothing but its own predict stands between the data and the result."""
        return self.signature.exact or self.loaded.predict_with is None

    def arrange(self, request: Request) -> Any:
        """The data that a request asks with.

        Raises:
            RequestError: the request does not fit the model.
        """
        return self.signature.table(request)

    def run(self, data: Any) -> Any:
        """The model's own result for data from `arrange`; raises whatever it raises."""
        if self.form is not None:
            return self.form(data)
        return self.original(data)

    def run_joined(self, data: Any) -> Any:
        """The result for several requests' data; raises where a part of it alone would go to the original."""
        return self.original(data) if self.form is None else self.form.only(data)

    def original(self, data: Any) -> Any:
        """The same by the framework itself, whether or not there is a faster form."""
        if self.loaded.framework == "sklearn":
            one_core()
        return self.loaded.predict(data.frame() if isinstance(data, Table) else data)

    def outputs(self, result: Any, rows: int | None) -> Prediction:
        """A result as outputs.

        Raises:
            TypeError: it is nothing that tensors can hold.
            NonsenseRows: it has another number of rows, where one per row is all that makes sense.
        """
        prediction = outputs_of(result, self.signature.output_names)
        if rows is not None:
            for output in prediction.outputs:
                if output.shape[0] != rows:
                    raise NonsenseRows(self.name, rows, output.name, output.shape[0])
        return prediction

    def answer_to(self, data: Any) -> Prediction:
        """The prediction for data from `arrange`.

        Raises:
            ModelFailed, NonsenseRows: the model raised, or gave another number of rows.
        """
        try:
            return self.outputs(self.run(data), self._rows(data))
        except RequestError:
            raise
        except Exception as error:
            raise ModelFailed(self.name, error) from error

    def _rows(self, data: Any) -> int | None:
        """How many rows an answer must have; None where the model decides."""
        if isinstance(data, Table) or self.loaded.rows_independent:
            return count_of(data)
        return None

    def answer(self, request: Request) -> Prediction:
        """The prediction for a request.

        Raises:
            RequestError: the request does not fit the model, or the model raised.
        """
        data = self.signature.table(request)
        if self.direct:
            return self.answer_to(data)
        rows = self._rows(data)
        try:
            return self.outputs(self._checked(data, request), rows)
        except RequestError:
            raise
        except Exception as error:
            raise ModelFailed(self.name, error) from error

    def _checked(self, data: Any, request: Request) -> Any:
        checked = self.loaded.predict_with
        assert checked is not None
        if isinstance(data, Table):
            data = data.frame()
        from mlflow.exceptions import MlflowException

        parameters = request.parameters if self.signature.has_parameters else {}
        try:
            return checked(data, parameters)
        except MlflowException as error:
            if "enforce schema" in str(error):
                reason = " ".join(
                    str(error).rpartition("Error: ")[2].split()
                )  # before it stands all the data
                raise InvalidRequest(f"the model refuses the request: {reason[:300]}") from error
            raise


def load(folder: Path, name: str, version: str, model_format: str = "mlflow") -> Model:
    """Load a model folder and run it once on its own input example.

    Raises:
        LoadError: with one sentence of what stands in the way.
    """
    started = perf_counter()
    loaded = runtimes.load(model_format, folder, name)
    signature = Signature(loaded.inputs, loaded.outputs, loaded.parameters)
    signature.exact = loaded.predict_with is None or (signature.exact and not loaded.checks)
    model = Model(name, version, signature, loaded)
    _warm_up(model)
    model.load_seconds = perf_counter() - started
    return model


def _warm_up(model: Model) -> None:
    example, loaded = model.loaded.example, model.loaded
    if example is None:
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            checked = loaded.predict_with
            result = loaded.predict(example) if checked is None else checked(example, {})
            outputs_of(result, model.signature.output_names)
    except Exception as error:
        log.debug("warming up failed", exc_info=error)
        raise LoadError(f"model {model.name} fails on its own input example: {one_line(error)}") from error
