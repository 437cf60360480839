"""Any Python class with ``predict``, and ``load`` if it wants to read its files.

The class stands in the folder's only Python file or in ``model.py``; ``MODEL_CLASS`` in the environment
names another (``file.py:Class`` or ``module:Class``). ``predict`` gets a DataFrame where the request has
columns by name, an array where it has one tensor; it gives an array, a DataFrame, a list, or a dict of
arrays by name. A class says with ``rows_independent = True`` that its answer for a row depends on that
row alone, so that requests may be joined.
"""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from platform import python_version
from typing import Any

from millpond.serving.server.callables import made, resolved
from millpond.serving.server.runtimes.files import find
from millpond.serving.server.runtimes.loaded import Loaded

VARIABLE = "MODEL_CLASS"
ENDINGS = (".py",)


def load(folder: Path, name: str) -> Loaded:
    """Make the folder's class ready.

    Raises:
        LoadError, CallableError: there is none, or it fails when it is made.
    """
    reference = os.environ.get(VARIABLE) or find(folder, name, "Python", ENDINGS).name
    model = made(reference, folder, ("predict",))
    method = getattr(model, "predict", None) or model
    predict = (lambda data: resolved(method(data))) if inspect.iscoroutinefunction(method) else method
    hint: Any = getattr(model, "rows_independent", None)
    return Loaded(
        framework="python",
        framework_version=python_version(),
        predict=predict,
        rows_independent=hint if isinstance(hint, bool) else None,
    )
