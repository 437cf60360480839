"""Parameters take what their type takes, and say what would have been right."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from millpond.model.errors import UsageError
from millpond.pipelines.parameters import Parameter, as_plain, resolve

TODAY = datetime.date(2026, 11, 22)


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        ("date", "2026-01-02", datetime.date(2026, 1, 2)),
        ("date", "today", TODAY),
        ("integer", "7", 7),
        ("number", "0.5", 0.5),
        ("boolean", "no", False),
        ("boolean", True, True),
        ("string", "12:30", "12:30"),
        ("string", 5, "5"),
    ],
)
def test_text_becomes_a_value(kind: Any, given: Any, value: Any) -> None:
    assert resolve({"x": Parameter(type=kind)}, {"x": given}, TODAY) == {"x": value}


@pytest.mark.parametrize(
    ("parameter", "given", "message"),
    [
        (Parameter(type="integer"), "7.5", "must be an integer, not '7.5'"),
        (Parameter(type="integer", minimum=1), "0", "must be at least 1, not 0"),
        (Parameter(type="number", maximum=1), "2", r"must be at most 1\.0, not 2"),
        (Parameter(type="date", minimum="2026-01-01"), "2025-01-01", "must be at least 2026-01-01"),
        (Parameter(type="date"), "22-11-2026", "must be a date such as"),
        (Parameter(choices=["trees", "linear"]), "tree", "must be one of trees, linear, not tree"),
        (Parameter(type="boolean"), "maybe", "must be a boolean"),
    ],
)
def test_what_does_not_fit_is_told(parameter: Parameter, given: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"the parameter x {message}"):
        resolve({"x": parameter}, {"x": given}, TODAY)


def test_unknown_and_missing_ones_are_told() -> None:
    parameters = {"date": Parameter(type="date", help="The day")}
    with pytest.raises(UsageError, match="no parameter dat") as caught:
        resolve(parameters, {"dat": "today"})
    assert caught.value.hint == "did you mean date?"
    with pytest.raises(UsageError, match="date has no value") as caught:
        resolve(parameters, {})
    assert caught.value.hint == "add -p date=VALUE: The day"


def test_dates_are_text_in_json() -> None:
    assert as_plain({"date": TODAY, "n": 1}) == {"date": "2026-11-22", "n": 1}
