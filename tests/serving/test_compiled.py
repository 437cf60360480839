"""Models in a faster form: which have one, that it is used only when proved equal, and that it is told."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from model_servers import ModelServer, service_environment

SCRIPT = Path(__file__).parent / "compile_estimators.py"
UNUSED = {
    "support vectors": "there is no faster form of SVC",
    "own class on pandas": "it refuses what the original takes: AttributeError",
}


def test_estimators_are_compiled_and_proved_or_left_alone(science_python: Path) -> None:
    environment = {**service_environment(), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [str(science_python), str(SCRIPT)], env=environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert len(found) > 25
    for name, result in found.items():
        if name in UNUSED:
            assert not result["used"] and UNUSED[name] in result["reason"], name
        else:
            assert result["used"], (name, result["reason"])
            assert "equal to the original within 1e-05 on " in result["reason"]


def test_the_server_says_whether_and_why_a_model_is_compiled(model_servers: dict[str, ModelServer]) -> None:
    for name, used, reason in (
        ("iris", True, "equal to the original within 1e-05"),
        ("waiting", True, "equal to the original within 1e-05"),
        ("echo", False, "there is no faster form of a model of python"),
        ("nosignature", False, "there is no signature or example to prove a faster form with"),
    ):
        server = model_servers[name]
        for told in (
            server.ask("/stats").json["compiled"],
            {
                "used": (about := server.ask(f"/v2/models/{name}").json["parameters"])["compiled"],
                "reason": about["compiled_reason"],
            },
        ):
            assert told["used"] is used, (name, told)
            assert reason in told["reason"]
        assert reason in server.log.read_text()


def test_what_the_faster_form_does_not_take_the_original_answers(
    model_servers: dict[str, ModelServer],
) -> None:
    server = model_servers["iris"]
    before = server.ask("/stats").json["compiled"]["handed_over"]
    answer = server.predict({"instances": [[None, 1, 2, 3]]})
    assert answer.status == 400
    assert "Input X contains NaN" in answer.error
    assert server.ask("/stats").json["compiled"]["handed_over"] > before


@pytest.mark.slow
def test_no_tolerance_or_no_wish_serves_the_original(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    server = ModelServer(science_python, models / "iris", "iris", tmp_path / "log", "--compile", "off")
    server.start()
    try:
        server.wait_ready()
        assert server.ask("/stats").json["compiled"] == {
            "used": False,
            "reason": "it was not asked for",
            "handed_over": 0,
        }
        assert server.predict({"instances": [[5.1, 3.5, 1.4, 0.2]]}).json == {"predictions": [0]}
    finally:
        server.stop()


@pytest.mark.slow
def test_a_large_model_answers_before_its_faster_form_is_made(
    science_python: Path, models: Path, tmp_path: Path
) -> None:
    server = ModelServer(science_python, models / "iris", "iris", tmp_path / "log")
    small = "from millpond.serving.server import __main__, loading; loading._LARGE_BYTES = 0; "
    run = "import sys; sys.exit(__main__.main(sys.argv[1:]))"
    at = server._command.index("-m")
    server._command[at : at + 2] = ["-c", small + run]
    server.start()
    try:
        server.wait_ready()
        deadline = time.monotonic() + 30
        while not (told := server.ask("/stats").json["compiled"])["used"]:
            assert told["reason"] == "its faster form is being made"
            assert server.predict({"instances": [[5.1, 3.5, 1.4, 0.2]]}).json == {"predictions": [0]}
            assert time.monotonic() < deadline
        assert server.predict({"instances": [[5.1, 3.5, 1.4, 0.2]]}).json == {"predictions": [0]}
    finally:
        server.stop()
