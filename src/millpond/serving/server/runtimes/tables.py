"""Input that has names made to fit what a model was trained with, and the other way round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas

from millpond.serving.server.errors import InvalidShape, MissingColumns, UnknownColumn


def named(data: Any, names: Sequence[str]) -> Any:
    """A table with exactly these columns in this order, of a table or of a matrix as wide.

    Raises:
        MissingColumns, UnknownColumn, InvalidShape: what does not fit.
    """
    if isinstance(data, pandas.DataFrame):
        given = list(data.columns)
        if given == list(names):
            return data
        known = set(names)
        for name in given:
            if name not in known:
                raise UnknownColumn(str(name), names)
        if len(given) < len(names):
            raise MissingColumns([name for name in names if name not in given], given)
        return data[list(names)]
    return pandas.DataFrame(wide(data, len(names)), columns=list(names), copy=False)


def wide(data: Any, width: int) -> Any:
    """A matrix of this many columns; a single row may come without its batch dimension.

    Raises:
        InvalidShape: it is no such matrix.
    """
    array = data.to_numpy() if isinstance(data, pandas.DataFrame) else np.asarray(data)
    if array.ndim == 1 and array.shape[0] == width != 1:
        return array.reshape(1, -1)
    if array.ndim == 1 and width == 1:
        return array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != width:
        raise InvalidShape(
            f"the input has shape {list(array.shape)}, the model takes [-1, {width}] (-1: any)"
        )
    return array
