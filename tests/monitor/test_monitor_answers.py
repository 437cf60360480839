"""What the monitor says of what was logged: windows, comparisons, distances."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from millpond_monitor import Monitor, Revision, until

pytestmark = pytest.mark.slow
Make = Callable[..., Revision]


def test_a_window_counts_and_measures(shared_monitor: Monitor, revision: Make) -> None:
    log = revision(shared_monitor.folder, "counting", "counting-1")
    began = time.time()
    for number in range(1, 101):
        log.predict({"x": float(number)}, number * 0.5, ms=float(number))
    log.predict({"x": 1.0}, None, status=500, ms=1.0)
    log.predict({"x": 1.0}, None, status=400, ms=1.0)
    log.predict({"x": 1.0}, 7.0, arrival=began - 3600)
    log.close()
    found = shared_monitor.wait_for("counting", 103)
    assert (found["requests"], found["errors"], found["refused"]) == (103, 1, 1)
    since = shared_monitor.get("counting", "window", revision="counting-1", since=began - 1)
    assert (since["requests"], since["p50_ms"]) == (102, 50.5)
    assert since["p99_ms"] == pytest.approx(99.01)
    output = since["outputs"]["prediction"]
    assert (output["kind"], output["rows"], output["missing"], output["mean"]) == ("number", 100, 0, 25.25)
    assert output["quantiles"]["0.5"] == 25.25
    assert shared_monitor.get("counting", "window", since="10m")["requests"] == 102
    assert shared_monitor.get("counting", "window", revision="another")["requests"] == 0
    assert since["log"]["mode"] == "all"


def test_a_shadow_is_compared_request_by_request(shared_monitor: Monitor, revision: Make) -> None:
    primary = revision(shared_monitor.folder, "mirrored", "mirrored-1")
    shadow = revision(shared_monitor.folder, "mirrored", "mirrored-2")
    shared_monitor.settings("mirrored", primary="mirrored-1", shadow="mirrored-2")
    past = time.time() - 5
    for number in range(100):
        identity = primary.predict({"x": 1.0}, float(number), ms=2.0, arrival=past)
        if number < 90:  # the last ten are not answered
            status = 503 if number >= 85 else 200
            apart = 0.5 if number >= 80 else 1e-9
            shadow.predict(
                {"x": 1.0},
                number + apart,
                identity=identity,
                shadow=True,
                ms=6.0,
                status=status,
                arrival=past,
            )
    primary.close()
    shadow.close()
    shared_monitor.wait_for("mirrored", 190)
    found = shared_monitor.get("mirrored", "compare")
    assert (found["primary"], found["shadow"]) == ("mirrored-1", "mirrored-2")
    assert (found["pairs"], found["compared"], found["agreement"]) == (90, 85, pytest.approx(80 / 85))
    assert (found["shadow_errors"], found["unanswered"], found["waiting"]) == (5, 10, 0)
    assert found["difference"]["1"] == pytest.approx(0.5)
    assert found["difference"]["0.5"] == pytest.approx(1e-9, abs=1e-12)
    assert found["latency_ratio"] == {"p50": 3.0, "p99": 3.0}
    assert len(found["examples"]) == 5
    assert found["examples"][0]["difference"] == pytest.approx(0.5)
    assert found["examples"][0]["features"] == {"x": [1.0]}
    generous = shared_monitor.get("mirrored", "compare", tolerance=1)
    assert generous["agreement"] == 1.0
    assert shared_monitor.get("mirrored", "compare", grace=3600)["waiting"] == 10


def test_classes_agree_when_they_are_equal(shared_monitor: Monitor, revision: Make) -> None:
    primary = revision(shared_monitor.folder, "classes", "classes-1")
    shadow = revision(shared_monitor.folder, "classes", "classes-2")
    for number in range(40):
        said = "late" if number % 2 else "early"
        identity = primary.predict({"x": 1.0}, said, datatype="BYTES")
        other = "early" if number < 4 else said
        shadow.predict({"x": 1.0}, other, identity=identity, shadow=True, datatype="BYTES")
    primary.close()
    shadow.close()
    shared_monitor.wait_for("classes", 80)
    found = shared_monitor.get("classes", "compare")  # which is which is seen by the mirrored ones
    assert found["agreement"] == 0.95
    assert found["changes"] == [{"output": "prediction", "primary": "late", "shadow": "early", "count": 2}]
    distance = shared_monitor.get("classes", "distance", a="classes-1", b="classes-2")
    assert (distance["metric"], distance["value"]) == ("total-variation", pytest.approx(0.05))
    assert distance["value"] < distance["chance"] and distance["p_value"] > 0.5


def test_v1_answers_are_read_like_v2(shared_monitor: Monitor, revision: Make) -> None:
    log = revision(shared_monitor.folder, "protocols", "protocols-1")
    log.log({"instances": [[1, 2.5], [3, 4.5]]}, {"predictions": [0.25, 0.75]}, protocol="v1")
    matrix = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [5.0, 6.5]}
    answer = {"outputs": [{"name": "y", "shape": [1, 1], "datatype": "FP64", "data": [0.5]}]}
    log.log({"inputs": [matrix]}, answer)
    log.log(b"no json", {"predictions": [1]}, protocol="v1")
    log.log({"instances": [{"a": 1, "b": 2}]}, {"predictions": [{"p": 0.1, "q": 0.9}]}, protocol="v1")
    log.close()
    found = shared_monitor.wait_for("protocols", 4)["outputs"]
    assert found["prediction"]["mean"] == pytest.approx((0.25 + 0.75 + 0.5 + 1) / 4)
    assert {name: item["mean"] for name, item in found.items() if name != "prediction"} == {
        "p": 0.1,
        "q": 0.9,
    }


def test_the_distance_of_two_revisions(shared_monitor: Monitor, revision: Make) -> None:
    first = revision(shared_monitor.folder, "apart", "apart-1")
    second = revision(shared_monitor.folder, "apart", "apart-2")
    for number in range(200):
        first.predict({"x": 1.0}, float(number))
        second.predict({"x": 1.0}, number + 50.0)
    first.close()
    second.close()
    shared_monitor.wait_for("apart", 400)
    found = shared_monitor.get("apart", "distance", a="apart-1", b="apart-2", since="1h")
    assert (found["metric"], found["value"]) == ("ks", pytest.approx(0.25))
    assert (found["n_a"], found["n_b"]) == (200, 200)
    assert found["chance"] == pytest.approx(0.1628, abs=1e-3) and found["p_value"] < 1e-4
    nothing = shared_monitor.get("apart", "distance", a="apart-1", b="apart-9")
    assert (nothing["value"], nothing["n_b"]) == (None, 0)


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("/deployments/nobody/window", {}, 404, "no predictions of nobody are logged"),
        ("/deployments/asked/window", {"since": "yesterday"}, 400, "is no time"),
        ("/deployments/asked/distance", {"a": "x"}, 400, "b is missing"),
        ("/deployments/asked/compare", {}, 400, "has no shadow revision"),
        ("/deployments/asked/compare", {"primary": "a", "shadow": "b", "tolerance": "x"}, 400, "no number"),
    ],
)
def test_a_question_that_has_no_answer(
    shared_monitor: Monitor, revision: Make, path: str, query: dict[str, Any], status: int, said: str
) -> None:
    revision(shared_monitor.folder, "asked", "asked-1").close()
    until(lambda: shared_monitor.ask("/deployments/asked/window").status == 200, "no deployment")
    found = shared_monitor.ask(path, **query)
    assert (found.status, said in found.error) == (status, True), found.body


def test_nobody_asks_without_the_token(shared_monitor: Monitor) -> None:
    assert shared_monitor.ask("/deployments").status == 200
    for token in ("", "another", "á"):
        assert shared_monitor.ask("/deployments", token=token).status == 401
    assert shared_monitor.ask("/healthz", token="").status == 200


def test_it_is_not_started_without_its_environment(science_python: Path, tmp_path: Path) -> None:
    found = Monitor(science_python, tmp_path, env={"MILLPOND_SERVING_TOKEN": ""})
    with pytest.raises(AssertionError, match="MILLPOND_SERVING_TOKEN not set"):
        found.start()
