"""The interface ``workflow``: what every provider of an engine for whole pipelines has to do.

One platform has all of them; what is asked of each is the same, by the same command.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import yaml
from playwright.sync_api import expect, sync_playwright

import millpond
from millpond.pipelines.handover.engine import WorkflowEngine, engine_of
from millpond.pipelines.handover.millpond import Millpond
from starter import EXAMPLES, Starter

pytestmark = pytest.mark.slow

ENGINES = ("prefect", "airflow", "millpond")
RECORDED = {"millpond": "dask"}
HOSTS = {"millpond": "pipelines"}
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
    environment: [iniconfig==2.1.0]
    outputs: {sum: {type: number}}
    cache: false
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
    import iniconfig  # which only this step's own environment has

    assert iniconfig.__name__
    return one + two
"""
_TICKING = """\
name: ticking
parameters: {word: {type: string, default: by hand}}
schedule: {cron: "* * * * *", timezone: Asia/Kolkata, parameters: {word: by the clock}}
steps:
  tick: {call: "ticking_:tick", with: {word: "${parameters.word}"}, outputs: {word: {type: text}}}
results: {word: "${tick.word}"}
"""


@pytest.fixture(scope="module")
def platform(workflows: Starter) -> Starter:
    """The platform, with a pipeline beside it."""
    folder = workflows.project / "numbers"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(_PIPELINE)
    (folder / "numbers_.py").write_text(_STEPS)
    ticking = workflows.project / "ticking"
    ticking.mkdir()
    (ticking / "pipeline.yaml").write_text(_TICKING)
    (ticking / "ticking_.py").write_text("def tick(word):\n    return word\n")
    # What the clock starts comes about while the other tests run.
    workflows.millpond("pipeline", "submit", "ticking", "--engine", "millpond", "--no-start")
    return workflows


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _client(platform: Starter, engine: str) -> WorkflowEngine:
    """The engine as the command line reaches it."""
    from millpond.cli.session import Session

    session = Session()
    session.folder = platform.project
    target = session.local_target()
    return engine_of(target.environment({"workflow": HOSTS.get(engine, engine)}), engine)


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
    assert record["status"] == "succeeded" and record["engine"] == RECORDED.get(engine, engine)
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
    # What stood in the way is mended: the engine goes on with the same run, and does nothing twice.
    mark.parent.mkdir(parents=True)
    mark.write_text("tried")
    shown = platform.millpond("pipeline", "resume", told["run"], timeout=120)
    assert told["run"] in shown.stdout + shown.stderr and "succeeded" in shown.stdout + shown.stderr
    after = platform.json("runs", "show", told["run"], "--json")
    assert after["status"] == "succeeded" and after["results"] == {"sum": 9}
    assert after["steps"]["first"] == record["steps"]["first"]
    shutil.rmtree(mark.parents[1])


def test_a_run_can_be_stopped(platform: Starter, engine: str) -> None:
    done = platform.millpond(
        "pipeline", "submit", "numbers", "--engine", engine, "--json", "-p", "mark=wait", timeout=120
    )
    told = json.loads(done.stdout.splitlines()[-1])
    run = told["engine_run"]
    client = _client(platform, engine)
    _until(lambda: (step := client.run("numbers", run).steps.get("double")) and step.state == "running")
    platform.millpond("pipeline", "cancel", told["run"], timeout=120)
    _until(lambda: client.run("numbers", run).over)
    assert client.run("numbers", run).state in ("cancelled", "failed")
    assert platform.json("runs", "show", told["run"], "--json")["status"] == "cancelled"


def test_its_page_is_behind_the_gateway(platform: Starter, engine: str) -> None:
    at = f"http://127.0.0.1:{platform.gateway_port}"
    headers = {"Host": f"{HOSTS.get(engine, engine)}.localhost:{platform.gateway_port}"}
    asked = requests.get(at, headers={**headers, "Accept": "text/html"}, timeout=30, allow_redirects=False)
    assert asked.status_code in (302, 303, 307, 401)
    name, password = platform.credentials("gateway")
    page = {"prefect": "/ui-settings", "airflow": "/auth/gateway", "millpond": "/"}[engine]
    shown = requests.get(at + page, headers=headers, auth=(name, password), timeout=30, allow_redirects=False)
    if engine == "prefect":
        assert shown.json()["auth"] is None  # nobody is asked twice
    elif engine == "millpond":
        assert shown.status_code == 200 and "/pipelines/numbers" in shown.text
    else:
        assert shown.status_code == 307 and "_token" in shown.cookies


@pytest.mark.parametrize("which", ["prefect", "airflow"])
def test_a_person_sees_each_step_of_a_run_after_one_sign_in(platform: Starter, which: str) -> None:
    runs = platform.json("runs", "--json")
    run = next(each for each in runs if each["engine"] == which and each["status"] == "succeeded")
    record = platform.json("runs", "show", run["id"], "--json")
    origin = f"http://{which}.localhost:{platform.gateway_port}"
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser, "the browser tests need Chromium on PATH"
    user, password = platform.credentials("gateway")
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = window.new_page(viewport={"width": 1300, "height": 850})
        page.set_default_timeout(60_000)
        page.goto(origin + _client(platform, which).page(record["pipeline"], record["engine_run"]))
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{origin}/**")
        for step in record["steps"]:
            expect(page.get_by_text(step, exact=True).first).to_be_visible(timeout=60_000)
        over = {"prefect": "Completed", "airflow": "Success"}[which]
        expect(page.get_by_text(over).first).to_be_visible(timeout=60_000)
        _shoot(page, which)
        window.close()


def _until(true: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.3)


# What the platform's own engine does besides: runs for commits, and from elsewhere


_COUNTED = """\
name: counted
parameters: {commit: {type: string, default: none}, gate: {type: string, default: open}}
triggers: [{repository: raw, branch: main, parameter: commit}]
steps:
  first:
    call: counted_:first
    with: {commit: "${parameters.commit}"}
    outputs: {experiment: {type: text}}
    cache: false
  second:
    call: counted_:second
    inputs: {experiment: "${first.experiment}"}
    with: {commit: "${parameters.commit}", gate: "${parameters.gate}"}
    outputs: {word: {type: text}}
    cache: false
results: {experiment: "${second.word}"}
"""
_COUNTING = """\
import os
import pathlib
import time

def first(commit):
    assert "MILLPOND_PIPELINES_PASSWORD" not in os.environ
    print("first of", commit)
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "no experiment")

def second(experiment, commit, gate):
    if gate == "broken":
        raise ValueError("the gate is broken")
    while gate != "open" and not pathlib.Path(gate).exists():
        time.sleep(0.1)
    return experiment
"""


@pytest.fixture(scope="module")
def elsewhere(platform: Starter, tmp_path_factory: pytest.TempPathFactory) -> Starter:
    """A folder with a pipeline and no platform, as CI has it."""
    (platform.project / "raw.csv").write_text("1\n")
    platform.millpond("repo", "create", "raw")
    platform.millpond("repo", "put", "raw", "raw.csv", "-m", "before")
    found = Starter(tmp_path_factory.mktemp("elsewhere"))
    (found.project / "counted").mkdir()
    (found.project / "counted/pipeline.yaml").write_text(_COUNTED)
    (found.project / "counted/counted_.py").write_text(_COUNTING)
    return found


@pytest.fixture(scope="module")
def given(platform: Starter) -> dict[str, str]:
    """What CI is given: an address and a token."""
    made = platform.json("token", "create", "ci", "--pipeline", "count*", "--expires", "1d", "--json")
    return {"MILLPOND_ENDPOINT": made["endpoint"], "MILLPOND_TOKEN": made["token"]}


def _runs_for_commits(platform: Starter) -> list[dict[str, Any]]:
    runs = platform.json("runs", "--pipeline", "counted", "--json")
    return [run for run in runs if run["parameters"]["commit"] != "none"]


def test_a_pipeline_is_submitted_from_elsewhere(
    platform: Starter, elsewhere: Starter, given: dict[str, str]
) -> None:
    words = ("submit", "counted", "--version", "0123abcd", "--experiment", "nightly", "--wait")
    done = elsewhere.millpond(*words, env=given)
    link = done.stdout.splitlines()[0]
    run = link.rpartition("/")[2]
    assert link == f"{given['MILLPOND_ENDPOINT']}/runs/{run}"
    assert "experiment  nightly" in done.stdout
    assert "first  succeeded" in done.stderr and "second  succeeded" in done.stderr
    record = platform.json("runs", "show", run, "--json")
    assert record["status"] == "succeeded"
    assert (record["commit"], record["dirty"]) == ("0123abcd", None)
    # The end of a run is that of the command.
    failing = elsewhere.millpond(*words, "--json", "-p", "gate=broken", env=given, check=False)
    told = json.loads(failing.stdout)
    assert failing.returncode == 1 and told["state"] == "failed"
    assert "the gate is broken" in told["steps"]["second"]["error"]["message"]
    assert platform.json("token", "list", "--json")[0]["used"]


def test_what_is_wrong_with_a_submission_is_told(
    platform: Starter, elsewhere: Starter, given: dict[str, str]
) -> None:
    def refused(*words: str, **changed: str) -> str:
        done = elsewhere.millpond("submit", *words, env={**given, **changed}, check=False)
        assert done.returncode in (1, 2), done.stdout
        assert given["MILLPOND_TOKEN"] not in done.stderr
        return done.stderr

    assert "did you mean gate?" in refused("counted", "-p", "gat=open")
    assert "the token is not known here" in refused("counted", MILLPOND_TOKEN="mlp_wrong")
    landing = f"http://localhost:{platform.gateway_port}"
    assert "takes no pipelines (404)" in refused("counted", "--endpoint", landing)
    assert "nothing answers at http://localhost:1" in refused("counted", "--endpoint", "http://localhost:1")
    assert "does not belong into a command" in refused("counted", "--token", given["MILLPOND_TOKEN"])
    assert "there is no token" in refused("counted", MILLPOND_TOKEN="")
    other = elsewhere.project / "other"
    shutil.copytree(elsewhere.project / "counted", other)
    (other / "pipeline.yaml").write_text(_COUNTED.replace("name: counted", "name: other"))
    assert "is for count*, not for other" in refused("other")
    # A body that is too large is refused also where it was not the command that sent it.
    at = f"http://127.0.0.1:{platform.gateway_port}/api/v1/code/{'0' * 64}"
    headers = {"Host": urlsplit(given["MILLPOND_ENDPOINT"]).netloc}
    headers["Authorization"] = f"Bearer {given['MILLPOND_TOKEN']}"
    large = requests.put(at, headers=headers, data=bytes((64 << 20) + 1), timeout=60)
    assert large.status_code == 413 and "64 MiB" in large.json()["error"]
    tokens = f"http://127.0.0.1:{platform.gateway_port}/api/v1/tokens"
    assert requests.get(tokens, headers=headers, timeout=30).status_code == 403


def test_the_workflow_of_github_runs_it(elsewhere: Starter, given: dict[str, str], tmp_path: Path) -> None:
    file = EXAMPLES / "ci/.github/workflows/pipeline.yml"
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    subprocess.run([*checker, str(file)], check=True, capture_output=True)
    workflow = yaml.safe_load(file.read_text())
    assert workflow["env"]["VERSION"] == millpond.__version__
    step = workflow["jobs"]["run"]["steps"][-1]
    summary = tmp_path / "summary"
    # As GitHub runs it: `shell: bash` is this command.
    script = tmp_path / "step.sh"
    script.write_text(step["run"])
    names = {**os.environ, **given, "PIPELINE": "counted", "EXPERIMENT": "me/flights@main", "ONCE": ""}
    names |= {"GITHUB_SHA": "f" * 40, "GITHUB_STEP_SUMMARY": str(summary)}
    names["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    assert set(step["env"]) <= set(names)
    command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)]

    def ran() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=elsewhere.project, env=names, text=True, capture_output=True)

    good = ran()
    assert good.returncode == 0, good.stderr
    assert "/runs/" in summary.read_text() and "me/flights@main" in summary.read_text()
    names["MILLPOND_TOKEN"] = "revoked"
    assert ran().returncode == 1


def test_each_commit_starts_one_run_whatever_is_killed(
    platform: Starter, elsewhere: Starter, given: dict[str, str]
) -> None:
    gate = platform.project / "gate"
    shut = _COUNTED.replace("default: open", f"default: {gate}")
    (elsewhere.project / "counted/pipeline.yaml").write_text(shut)
    elsewhere.millpond("submit", "counted", "-p", "gate=open", "--wait", env=given)
    assert _runs_for_commits(platform) == [], "what was there before starts nothing"
    (platform.project / "raw.csv").write_text("2\n")
    platform.millpond("repo", "put", "raw", "raw.csv", "-m", "one")
    _until(lambda: any(run["status"] == "running" for run in _runs_for_commits(platform)))
    (run,) = _runs_for_commits(platform)
    client = _client(platform, "millpond")
    _until(lambda: client.run("counted", run["id"]).steps["second"].state == "running")
    _kill(platform)
    gate.touch()
    (platform.project / "raw.csv").write_text("3\n")
    platform.millpond("repo", "put", "raw", "raw.csv", "-m", "two")
    _until(lambda: [found["status"] for found in _runs_for_commits(platform)] == ["succeeded"] * 2)
    _kill(platform)
    platform.millpond("wait", "pipelines")
    newest, taken_up = _runs_for_commits(platform)
    assert taken_up["id"] == run["id"] and taken_up["resumed"], "the run that was killed was gone on with"
    assert "first of" in platform.millpond("runs", "show", run["id"], "--step", "first").stdout
    log = platform.json("repo", "log", "raw", "--json")
    wanted = [commit["id"] for commit in log][:2]
    assert [found["parameters"]["commit"] for found in (newest, taken_up)] == wanted


def _kill(platform: Starter) -> None:
    """Kill the component's process with no warning, and wait for its next life."""
    processes = json.loads((platform.project / ".millpond/run/processes.json").read_text())["services"]
    (pid,) = [found["pid"] for found in processes if found["name"] == "pipelines"]
    os.kill(pid, signal.SIGKILL)
    _until(lambda: not Path(f"/proc/{pid}").exists() if Path("/proc").is_dir() else True)
    platform.millpond("wait", "pipelines")


def test_a_run_has_a_page(platform: Starter, elsewhere: Starter, given: dict[str, str]) -> None:
    link = json.loads(
        elsewhere.millpond("submit", "counted", "--once", "-p", "gate=open", "--json", env=given).stdout
    )["url"]
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert browser, "the browser tests need Chromium on PATH"
    user, password = platform.credentials("gateway")
    problems: list[str] = []
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = window.new_page(viewport={"width": 1100, "height": 800})
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(link)
        page.get_by_label("User name").fill(user)
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(link)
        # It asks for itself again until the run is over.
        page.locator("header .badge", has_text="succeeded").wait_for(timeout=60_000)
        row = page.get_by_role("row", name=re.compile("^first"))
        assert "succeeded" in row.inner_text()
        _shoot(page, "run")
        row.get_by_role("link", name="log").click()
        page.get_by_text("first of none").wait_for()
        page.go_back()
        page.get_by_role("link", name="counted").click()
        page.get_by_text("commits on raw@main").first.wait_for()
        _shoot(page, "pipeline")
        page.get_by_role("link", name="All pipelines").click()
        page.get_by_role("row", name="numbers").first.wait_for()
        _shoot(page, "pipelines")
        assert problems == []
        window.close()


def test_the_clock_starts_each_instant_once(platform: Starter) -> None:
    def ticks() -> list[dict[str, Any]]:
        runs = platform.json("runs", "--pipeline", "ticking", "--json")
        return [run for run in runs if run["status"] == "succeeded"]

    _until(ticks)
    client = _client(platform, "millpond")
    assert isinstance(client, Millpond)
    assert {run["results"]["word"] for run in ticks()} == {"by the clock"}
    causes = [client.service.run(run["id"])["cause"] for run in ticks()]
    assert all(cause.startswith("the schedule * * * * * at ") for cause in causes)
    assert len(set(causes)) == len(causes)
    platform.millpond("pipeline", "withdraw", "ticking")
    done = platform.millpond("pipeline", "withdraw", "ticking", check=False)
    assert "no pipeline ticking was handed over" in done.stderr


def _shoot(page: Any, name: str) -> None:
    folder = os.environ.get("MILLPOND_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))
