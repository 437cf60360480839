"""The flights example: nothing of the future is learnt, and the model takes what it was not given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demos.conftest import Probe
from model_servers import ModelServer
from starter import EXAMPLES

# What is known only when the flight is over, or says which flight it was.
LEAKS = {"dep_time", "arr_time", "air_time", "sched_arr_time", "tailnum", "flight", "time_hour", "month"}
EXAMPLE = EXAMPLES / "flights"


@pytest.fixture(scope="module")
def found(probe: Probe) -> dict[str, Any]:
    return dict(probe("flights", "look_at_flights.py"))


def test_no_flight_is_lost_or_doubled_by_the_join(found: dict[str, Any]) -> None:
    join = found["join"]
    assert join["flights"] == 109_119 and join["last_day"] == "2013-04-30"
    assert join["joined"] == join["arrived"] == 105_475
    assert join["in_order"]
    assert join["weather"] > 0.99


def test_nothing_that_tells_the_answer_comes_along(found: dict[str, Any]) -> None:
    columns = found["join"]["columns"]
    assert not LEAKS & set(columns)
    assert columns[0] == "flown_on" and columns[-1] == "arr_delay" and len(columns) == 20


def test_scheduled_minutes_fit_the_time_in_the_air(found: dict[str, Any]) -> None:
    """Both ends are in local time, so a wrong zone would be out by whole hours."""
    least, most = found["join"]["spare_minutes"]
    assert 0 < least < most < 75


def test_the_split_is_by_time(found: dict[str, Any]) -> None:
    split = found["split"]
    assert split["last"]["learn"] == "2013-03-31" and split["first"]["judge"] == "2013-04-01"
    assert split["rows"] == {"learn": 77_911, "judge": 27_564}
    assert "9 months" in split["refused"]


def test_booking_knows_the_timetable_alone(found: dict[str, Any]) -> None:
    timetable = {"carrier", "origin", "dest", "weekday", "hour", "distance", "scheduled_minutes"}
    assert set(found["at_booking"]) == timetable


def test_the_model_takes_missing_weather_and_a_carrier_never_seen(found: dict[str, Any]) -> None:
    made = found["predictions"]
    requests = made["requests"]
    assert set(requests) == {"request.json", "request-without-weather.json", "request-unseen-carrier.json"}
    assert 20 < requests["request.json"] < 90
    assert -40 < requests["request-without-weather.json"] < 20
    assert 0 < requests["request-unseen-carrier.json"] < 60
    assert 20 < made["nowhere"] < 90


def test_columns_are_taken_by_name_and_trees_by_seed(found: dict[str, Any]) -> None:
    made = found["predictions"]
    assert made["shuffled"] == made["requests"]["request.json"]
    assert made["repeatable"]
    assert made["error"] < 0.7 * made["error_of_the_mean"]


@pytest.fixture(scope="module")
def life(probe: Probe) -> dict[str, Any]:
    return dict(probe("flights", "look_at_flights.py", "life"))


@pytest.mark.slow
def test_the_run_says_where_the_model_came_from(life: dict[str, Any]) -> None:
    tags = life["tags"]
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert (tags["millpond.code.digest"], tags["millpond.code.dirty"]) == ("d1935", "true")
    assert (tags["millpond.run"], tags["millpond.step"]) == ("20130430-flights", "train")
    assert tags["millpond.environment"] == "e42"
    assert tags["millpond.data.learn"] == "s3://preprocessed/learn.parquet"
    assert tags["millpond.data.learn.version"] == "v1"
    assert tags["millpond.data.learn.sha256"] == "ab" * 32
    assert "millpond.data.months" not in tags
    assert life["data"] == [["learn", ("ab" * 32)[:36]]]
    assert {"date", "seed", "trees", "min_samples_leaf", "learning_rate"} <= set(life["params"])
    assert {"mae", "rmse", "r2"} <= set(life["metrics"])
    assert "environment/requirements.txt" in life["files"]
    assert len([path for path in life["files"] if path.endswith(".png")]) == 3
    assert life["importance"][0] == "dep_delay"


@pytest.mark.slow
def test_where_a_run_is_not_active_none_is_started(life: dict[str, Any]) -> None:
    assert life["outside"] == "log_origin was called without an active MLflow run"


@pytest.mark.slow
def test_links_lead_to_the_run_and_the_version(life: dict[str, Any]) -> None:
    run, model = life["links"]
    assert "/#/experiments/" in run and "/runs/" in run
    assert model.endswith("/#/models/flights/versions/1")


@pytest.mark.slow
def test_the_champion_is_the_better_one_that_can_be_judged(life: dict[str, Any]) -> None:
    """`early` is judged on flights that the present champion has learnt from, so it cannot replace it."""
    good, poor, _ = life["versions"]
    assert life["champions"] == [poor, good, good, good, good]


@pytest.fixture(scope="module")
def server(
    life: dict[str, Any], science_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp("flights") / "server.log"
    found = ModelServer(science_python, Path(life["folder"]), "flights", log)
    found.start()
    try:
        found.wait_ready()
        yield found
    finally:
        found.stop()


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(path.name for path in EXAMPLE.glob("request*.json")))
def test_the_served_model_answers_the_requests_beside_it(server: ModelServer, file: str) -> None:
    answer = server.ask("/v2/models/flights/infer", json.loads((EXAMPLE / file).read_text()))
    assert answer.status == 200, answer.body
    (minutes,) = answer.json["outputs"][0]["data"]
    assert -60 < minutes < 120


@pytest.mark.slow
def test_the_served_model_is_the_one_that_was_trained(server: ModelServer, life: dict[str, Any]) -> None:
    answer = server.ask("/v2/models/flights/infer", json.loads((EXAMPLE / "request.json").read_text()))
    assert answer.json["outputs"][0]["data"] == [pytest.approx(life["predicted"], rel=1e-12)]
