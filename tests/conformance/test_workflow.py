"""The interface ``workflow``: what every provider of an engine for whole pipelines has to do.

One platform has all of them; what is asked of each is the same, by the same command.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from millpond.pipelines.handover.engine import WorkflowEngine, engine_of
from starter import Starter

pytestmark = pytest.mark.slow

ENGINES = ("prefect", "airflow")
_PIPELINE = """\
name: numbers
summary: Three numbers
parameters:
  start: {type: integer, default: 3, minimum: 0, help: The first number}
  mark: {type: string, help: A file that says that a step was tried before}
schedule: {cron: "15 5 * * *", parameters: {mark: /nowhere}}
steps:
  first:
    call: numbers_:first
    with: {start: "${parameters.start}"}
    outputs: {number: {type: number}}
    cache: false
  double:
    call: numbers_:double
    inputs: {number: "${first.number}"}
    with: {mark: "${parameters.mark}"}
    outputs: {number: {type: number}}
    cache: false
    retries: 1
    retry_delay: 1s
  total:
    call: numbers_:total
    inputs: {one: "${first.number}", two: "${double.number}"}
    outputs: {sum: {type: number}}
results: {sum: "${total.sum}"}
"""
_STEPS = """\
import os
import pathlib
import time

def first(start):
    print("the first is", start)
    assert not [name for name in os.environ if name.startswith("AIRFLOW_")], "the engine's own passwords"
    assert os.environ["AWS_ACCESS_KEY_ID"]
    return start

def double(number, mark):
    if mark == "wait":
        time.sleep(300)
    path = pathlib.Path(mark)
    if not path.exists():
        path.write_text("tried")
        raise RuntimeError("not the first time")
    return 2 * number

def total(one, two):
    return one + two
"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """A platform with both engines, and a pipeline beside it."""
    found = Starter(tmp_path_factory.mktemp("workflows"))
    (found.project / "millpond.yaml").write_text(
        "name: workflows\ncomponents: [gateway, seaweedfs, prefect, airflow]\n"
    )
    folder = found.project / "numbers"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "numbers_.py").write_text(_STEPS)
    try:
        found.millpond("up", timeout=600)
        yield found
    finally:
        found.millpond("destroy", "--yes", check=False)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _client(platform: Starter, engine: str) -> WorkflowEngine:
    """The engine as the command line reaches it."""
    from millpond.cli.session import Session

    session = Session()
    session.folder = platform.project
    target = session.local_target()
    return engine_of(target.environment({"workflow": engine}), engine)


def test_a_pipeline_runs_with_its_graph_retries_logs_and_schedule(
    platform: Starter, engine: str, tmp_path: Path
) -> None:
    given = ["-p", f"mark={tmp_path / 'mark'}", "-p", "start=5"]
    done = platform.millpond(
        "pipeline", "submit", "numbers", "--engine", engine, "--wait", "--json", *given, timeout=120
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert told["state"] == "succeeded"
    assert told["steps"] == {
        "first": {"state": "succeeded", "attempts": 1},
        "double": {"state": "succeeded", "attempts": 2},
        "total": {"state": "succeeded", "attempts": 1},
    }
    client = _client(platform, engine)
    assert client.schedule("numbers") == "15 5 * * *"
    assert "the first is 5" in client.log("numbers", told["engine_run"], "first")
    assert "not the first time" in client.log("numbers", told["engine_run"], "double")
    # The record is the same as that of any run.
    record = platform.json("runs", "show", told["run"], "--json")
    assert record["status"] == "succeeded" and record["engine"] == engine
    assert record["results"] == {"sum": 15} and record["parameters"]["start"] == 5
    assert {name: step["needs"] for name, step in record["steps"].items()} == {
        "first": [],
        "double": ["first"],
        "total": ["first", "double"],
    }
    assert record["steps"]["double"]["attempts"] == 2
    assert "the first is 5" in platform.millpond("runs", "show", told["run"], "--step", "first").stdout


def test_a_failure_skips_what_needs_it(platform: Starter, engine: str) -> None:
    mark = platform.project / "no" / "such" / "folder"
    done = platform.millpond(
        *("pipeline", "submit", "numbers", "--engine", engine, "--wait", "--json", "-p", f"mark={mark}"),
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    told = json.loads(done.stdout.splitlines()[-1])
    states = {name: step["state"] for name, step in told["steps"].items()}
    assert states == {"first": "succeeded", "double": "failed", "total": "skipped"}
    record = platform.json("runs", "show", told["run"], "--json")
    assert record["status"] == "failed"
    assert {name: step["status"] for name, step in record["steps"].items()} == {
        "first": "done",
        "double": "failed",
        "total": "skipped",
    }


def test_a_run_can_be_stopped(platform: Starter, engine: str) -> None:
    done = platform.millpond(
        "pipeline", "submit", "numbers", "--engine", engine, "--json", "-p", "mark=wait", timeout=120
    )
    told = json.loads(done.stdout.splitlines()[-1])
    run = told["engine_run"]
    client = _client(platform, engine)
    _until(lambda: (step := client.run("numbers", run).steps.get("double")) and step.state == "running")
    client.cancel("numbers", run)
    _until(lambda: client.run("numbers", run).over)
    assert client.run("numbers", run).state in ("cancelled", "failed")
    _until(lambda: platform.json("runs", "show", told["run"], "--json")["status"] == "cancelled")


def test_its_page_is_behind_the_gateway(platform: Starter, engine: str) -> None:
    at = f"http://127.0.0.1:{platform.gateway_port}"
    headers = {"Host": f"{engine}.localhost:{platform.gateway_port}"}
    asked = requests.get(at, headers={**headers, "Accept": "text/html"}, timeout=30, allow_redirects=False)
    assert asked.status_code in (302, 303, 307, 401)
    name, password = platform.credentials("gateway")
    page = {"prefect": "/ui-settings", "airflow": "/auth/gateway"}[engine]
    shown = requests.get(at + page, headers=headers, auth=(name, password), timeout=30, allow_redirects=False)
    if engine == "prefect":
        assert shown.json()["auth"] is None  # nobody is asked twice
    else:
        assert shown.status_code == 307 and "_token" in shown.cookies


def _until(true: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.3)
