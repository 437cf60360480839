"""The table of formats, and the one way to load any of them."""

from __future__ import annotations

import logging
import warnings
from importlib import import_module
from pathlib import Path

from millpond.model.errors import MillpondError, did_you_mean
from millpond.serving.server.errors import one_line
from millpond.serving.server.runtimes.loaded import Loaded, LoadError

log = logging.getLogger(__name__)

FORMATS = ("mlflow", "sklearn", "xgboost", "lightgbm", "onnx", "pytorch", "keras", "python")
"""Each is a module of this package with ``load(folder, name) -> Loaded``."""


def load(model_format: str, folder: Path, name: str) -> Loaded:
    """Load a folder.

    Args:
        model_format: the name as KServe's ``modelFormat`` has it, in any case.
        folder: where the model's files are.
        name: the model's, for messages.

    Raises:
        LoadError: with one sentence of what stands in the way.
    """
    known = model_format.lower()
    if known not in FORMATS:
        raise LoadError(f"model {name}: unknown format {model_format}", hint=did_you_mean(known, FORMATS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runtime = import_module(f"millpond.serving.server.runtimes.{known}_runtime")
            found: Loaded = runtime.load(folder, name)
            found.format = known
            return found
    except MillpondError:
        raise
    except Exception as error:
        log.debug("loading failed", exc_info=error)
        raise LoadError(f"model {name} cannot be loaded: {one_line(error)}", hint=_hint(error)) from error


def _hint(error: BaseException) -> str | None:
    if isinstance(error, ModuleNotFoundError):
        return f"the model's environment has no {error.name}"
    return None
