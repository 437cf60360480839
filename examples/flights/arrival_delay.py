"""The model, and what it takes: stored with every version, so that a server loads what was trained.

The prediction is made as the plane leaves the gate: the model is told how late that is, and learns what the
way adds or makes up. Trees alone would have to learn "arrives as late as it left" as a staircase, which is
worse than adding the two numbers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils.validation import check_is_fitted

TARGET = "arr_delay"
DEPARTURE = "dep_delay"
CATEGORIES = ["carrier", "origin", "dest"]
# The month is left out on purpose: the months to come are never among those to learn from, and with
# it the trees learn "September was on time" for October. The season is in the temperature.
REQUIRED = [*CATEGORIES, DEPARTURE, "weekday", "hour", "distance"]
PLANE = ["seats", "plane_age"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
OPTIONAL = ["scheduled_minutes", *PLANE, *WEATHER]
FEATURES = [*REQUIRED, *OPTIONAL]
# Neither the delay, nor the plane, nor the weather of the hour is known when a ticket is bought.
AT_BOOKING = [name for name in FEATURES if name not in (DEPARTURE, *PLANE, *WEATHER)]


class Columns(TransformerMixin, BaseEstimator):
    """The wanted columns in their order; an optional one that was not given is missing in every row."""

    def __init__(self, wanted: list[str]) -> None:
        self.wanted = wanted

    def fit(self, table: pd.DataFrame, y: object = None) -> Columns:
        """Nothing to learn."""
        return self

    def transform(self, table: pd.DataFrame) -> pd.DataFrame:
        """The columns, added as missing where they are absent."""
        return table.reindex(columns=self.wanted)

    def __sklearn_is_fitted__(self) -> bool:
        return True


class DelayOnTheWay(RegressorMixin, BaseEstimator):
    """Departure delay, plus what `regressor` says that the way adds (or, below zero, makes up)."""

    def __init__(self, regressor: BaseEstimator) -> None:
        self.regressor = regressor

    def fit(self, table: pd.DataFrame, delay: pd.Series) -> DelayOnTheWay:
        """Learn the difference between the two delays."""
        self.regressor_ = clone(self.regressor).fit(table, delay - table[DEPARTURE])
        return self

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Minutes, below zero for early."""
        check_is_fitted(self)
        return table[DEPARTURE].to_numpy(dtype=float) + self.regressor_.predict(table)


def build(seed: int, trees: int, leaf: int, rate: float) -> Pipeline:
    """The model that is deployed, from a table of plain columns to minutes."""
    return Pipeline(
        [
            ("columns", Columns(FEATURES)),
            ("delay", DelayOnTheWay(_boosted(FEATURES, seed, trees, leaf, rate))),
        ]
    )


def build_at_booking(seed: int, trees: int, leaf: int, rate: float) -> Pipeline:
    """The same trees on the timetable alone: all that is known long before the day."""
    return Pipeline(
        [("columns", Columns(AT_BOOKING)), ("delay", _boosted(AT_BOOKING, seed, trees, leaf, rate))]
    )


def _boosted(columns: list[str], seed: int, trees: int, leaf: int, rate: float) -> Pipeline:
    numbers = [name for name in columns if name not in CATEGORIES]
    # A carrier or airport that was not there to learn from counts as missing, which trees can handle.
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    encode = ColumnTransformer([("codes", codes, CATEGORIES), ("numbers", "passthrough", numbers)])
    boosted = HistGradientBoostingRegressor(
        max_iter=trees,
        min_samples_leaf=leaf,
        learning_rate=rate,
        categorical_features=list(range(len(CATEGORIES))),
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("encode", encode), ("trees", boosted)])
