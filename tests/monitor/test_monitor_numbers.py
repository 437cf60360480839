"""The monitor's numbers are those that scipy, scikit-learn and the literature have."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from millpond_monitor import Monitor, Revision

from millpond.cli import measurement_views as views
from model_servers import service_environment

pytestmark = pytest.mark.slow
Make = Callable[..., Revision]
PARSE = """
import json, sys
from prometheus_client.parser import text_string_to_metric_families as parse
samples = [s for family in parse(sys.stdin.read()) for s in family.samples]
print(json.dumps([(s.name, s.labels, s.value) for s in samples]))
"""
SCRIPT = Path(__file__).parent / "known_numbers.py"


def numbers(python: Path, what: str) -> dict[str, list[Any]]:
    done = subprocess.run(
        [str(python), str(SCRIPT), what], capture_output=True, text=True, env=service_environment()
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("what", "within"), [("intervals", 6e-5), ("drifts", 1e-9), ("experiments", 1e-9), ("qualities", 1e-9)]
)
def test_numbers_are_the_known_ones(science_python: Path, what: str, within: float) -> None:
    wrong = {}
    for name, (ours, known) in numbers(science_python, what).items():
        plain = isinstance(known, str) or (
            isinstance(known, list) and not all(isinstance(item, int | float) for item in known)
        )
        if ours != (known if plain else pytest.approx(known, abs=within)):
            wrong[name] = (ours, known)
    assert not wrong


def test_looking_all_the_time_gives_no_more_wrong_alarms(science_python: Path) -> None:
    found = numbers(science_python, "stopping")
    assert found["none"][0] < 0.05
    assert found["real"][0] > 0.95


def _fill(monitor: Monitor, revision: Make, name: str) -> None:
    """Two arms of 400, the second one better; what comes in is shifted after the reference."""
    first, second = (revision(monitor.folder, name, f"{name}-{number}") for number in (1, 2))
    monitor.settings(
        name,
        primary=f"{name}-1",
        experiment={"name": "prices", "arms": [f"{name}-1", f"{name}-2"]},
        reference={"rows": 200},
    )
    for number in range(400):
        shift = 100.0 if number >= 200 else 0.0
        for log, part in ((first, 4), (second, 2)):
            score = 0.5 + number % 5 / 10
            identity = log.predict({"x": number % 200 + shift}, score, ms=2.0)
            other = second if log is first else first  # feedback goes wherever the traffic goes
            other.feedback(identity, reward=number % part == 0, truth=int(number % 2 == 0))
    first.feedback("nobody", reward=1)
    first.predict({"x": 1.0}, None, status=500)
    first.predict({"x": 1.0}, None, status=422)
    first.close()
    second.close()
    monitor.wait_for(name, 802)


def test_from_the_log_to_what_is_printed(
    shared_monitor: Monitor, revision: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    _fill(shared_monitor, revision, "arms")
    found = shared_monitor.get("arms", "experiment")
    assert [(arm["predictions"], arm["feedback"], arm["mean"]) for arm in found["arms"]] == [
        (400, 400, 0.25),
        (400, 400, 0.5),
    ]
    assert (found["unattributed"], found["comparisons"][0]["verdict"]) == (1, "arms-2 is better")
    drift = shared_monitor.get("arms", "drift")
    assert drift["reference"]["whole"] and drift["reference"]["rows"] == 200
    assert (drift["features"][0]["name"], drift["features"][0]["verdict"]) == ("x", "large shift")
    assert drift["outputs"][0]["verdict"] == "stable"
    quality = shared_monitor.get("arms", "quality")
    assert (quality["truths"], quality["matched"]) == (800, 800)
    assert quality["revisions"]["arms-1"]["prediction"]["rows"] == 400
    later = shared_monitor.get("arms", "experiment", since="2100-01-01")
    assert (later["unattributed"], later["arms"][0]["feedback"]) == (1, 0)

    views.experiment(found)
    views.drift(drift)
    said = capsys.readouterr()
    for text in ("experiment prices", "arms-1  400", "25 %, arms-2 less arms-1", "arms-2 is better"):
        assert text in said.out
    assert "large shift beside the first 200 rows of arms-1" in said.out
    assert "1 outcome of predictions that are not in the log" in said.err


def test_metrics_count_what_was_logged(science_python: Path, shared_monitor: Monitor, revision: Make) -> None:
    _fill(shared_monitor, revision, "counted")
    shadow = revision(shared_monitor.folder, "shadowed", "shadowed-2")
    primary = revision(shared_monitor.folder, "shadowed", "shadowed-1")
    shared_monitor.settings("shadowed", primary="shadowed-1", shadow="shadowed-2")
    for number in range(40):
        identity = primary.predict({"x": 1.0}, 1.0)
        shadow.predict({"x": 1.0}, 1.0 if number < 30 else 2.0, identity=identity, shadow=True)
    primary.close()
    shadow.close()
    shared_monitor.wait_for("shadowed", 80)
    page = shared_monitor.ask("/metrics")
    assert page.status == 200
    assert shared_monitor.ask("/metrics", token="").status == 401
    parsed = subprocess.run(
        [str(science_python), "-c", PARSE], input=page.body, capture_output=True, check=True
    )
    samples = [(name, labels, value) for name, labels, value in json.loads(parsed.stdout)]

    def value(name: str, **labels: str) -> float:
        [found] = [
            item for other, own, item in samples if (other, own) == (f"millpond_monitor_{name}", labels)
        ]
        return float(found)

    deployment = {"deployment": "counted"}
    of = {**deployment, "revision": "counted-1"}
    own = {**of, "shadow": "false"}
    assert [value("predictions_total", **own, status=f"{n}xx") for n in (2, 4, 5)] == [400, 1, 1]
    assert value("prediction_seconds_bucket", **own, le="0.0025") == 400
    assert value("prediction_seconds_bucket", **own, le="0.001") == 0
    assert value("prediction_seconds_sum", **own) == pytest.approx(0.8)
    assert value("feedback_total", **deployment) == 801
    assert value("drift_psi", **of, side="feature", column="x") > 0.25
    assert value("drift_psi", **of, side="output", column="prediction") < 0.1
    assert value("quality_rows", **of, output="prediction") == 400
    assert 0 <= value("quality", **of, output="prediction", measure="accuracy") <= 1
    assert value("log_dropped_total", **deployment) == 0
    assert value("backlog_bytes", **deployment) >= 0
    assert value("lag_seconds", **deployment) >= 0
    shadowed = {"deployment": "shadowed", "revision": "shadowed-2"}
    assert value("shadow_agreement_ratio", **shadowed) == 0.75
    assert value("shadow_pairs", **shadowed) == 40
