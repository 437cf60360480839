"""One row per flight with what is known when it leaves the gate, and a split by time."""

from __future__ import annotations

import pandas as pd
from arrival_delay import CATEGORIES, FEATURES, TARGET, WEATHER

from millpond.model.errors import MillpondError

FLOWN_ON = "flown_on"


def join(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> pd.DataFrame:
    """Flights that arrived, with the weather of their hour, their plane, and their time by the timetable.

    Only what is known at the gate comes along. How late the plane leaves (`dep_delay`) is known: that is
    when the prediction is made. When it landed and how long it was in the air (`arr_time`, `air_time`)
    would tell how late it arrives, so they stay behind.

    The weather is that of the scheduled hour, joined by the instant, not by the clock: on the night that
    the clocks go back, an hour comes twice.
    """
    arrived = flights[flights[TARGET].notna()]
    joined = (
        arrived.merge(
            weather[["origin", "time_hour", *WEATHER]],
            on=["origin", "time_hour"],
            how="left",
            validate="many_to_one",
        )
        .merge(
            planes[["tailnum", "year", "seats"]].rename(columns={"year": "built"}),
            on="tailnum",
            how="left",
            validate="many_to_one",
        )
        .merge(
            airports[["faa", "tzone"]].rename(columns={"faa": "dest"}),
            on="dest",
            how="left",
            validate="many_to_one",
        )
    )
    day = pd.to_datetime(joined[["year", "month", "day"]])
    joined[FLOWN_ON] = day
    joined["weekday"] = day.dt.day_of_week + 1
    joined["plane_age"] = joined["year"] - joined["built"]
    joined["scheduled_minutes"] = _scheduled_minutes(joined)
    table = joined[[FLOWN_ON, *FEATURES, TARGET]].copy()
    numbers = [name for name in (*FEATURES, TARGET) if name not in CATEGORIES]
    table[numbers] = table[numbers].astype("float64")
    without = table["temp"].isna().mean()
    print(f"{len(table):,} of {len(flights):,} flights arrived; {without:.1%} without weather")
    return table


def split(joined: pd.DataFrame, months: int) -> dict[str, pd.DataFrame]:
    """The last `months` to be judged on, all before them to learn from: the future is not learnt.

    Raises:
        MillpondError: nothing is left to learn from.
    """
    last = joined[FLOWN_ON].max()
    first_judged = (last.to_period("M") - (months - 1)).to_timestamp()
    before = joined[FLOWN_ON] < first_judged
    if not before.any():
        raise MillpondError(
            f"the flights up to {last:%Y-%m-%d} are all in the {months} months to be judged on",
            hint="give a later date, or fewer test_months",
        )
    learn, judge = before.sum(), (~before).sum()
    print(f"{learn:,} flights before {first_judged:%Y-%m-%d} to learn from, {judge:,} to be judged on")
    return {
        "learn": joined[before].reset_index(drop=True),
        "judge": joined[~before].reset_index(drop=True),
    }


def _scheduled_minutes(joined: pd.DataFrame) -> pd.Series:
    """From gate to gate by the timetable; missing where the destination's time zone is not known.

    The timetable gives both ends in local time, so the departure is first put on the destination's clock.
    """
    leaves = joined["time_hour"] + pd.to_timedelta(joined["minute"], unit="min")
    minutes = pd.Series(float("nan"), index=joined.index)
    for zone, rows in joined.groupby("tzone").groups.items():
        there = leaves[rows].dt.tz_convert(str(zone))
        arrives = joined.loc[rows, "sched_arr_time"]
        minutes[rows] = (arrives // 100 * 60 + arrives % 100 - there.dt.hour * 60 - there.dt.minute) % 1440
    return minutes
