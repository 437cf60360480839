"""What is handed over to a workflow engine: one version of a pipeline, as data in a small file."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import pytest

from millpond.catalogue import Catalogue
from millpond.model.errors import MillpondError
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.handover import airflow, control, prefect
from millpond.pipelines.handover.document import Handover, hand_over
from millpond.pipelines.handover.engine import RunView, engine_of
from millpond.pipelines.handover.process import run_id
from millpond.pipelines.record import Runs

_PIPELINE = """\
name: two-steps
parameters:
  count: {type: integer, default: 2, minimum: 1, help: How many}
schedule: {cron: "0 5 * * *", timezone: Europe/Brussels}
steps:
  second:
    call: code:second
    after: [first]
  first:
    call: code:first
    retries: 2
    retry_delay: 3s
    timeout: 1m
"""


def _handed(folder: Path, **options: str) -> Handover:
    (folder / "project").mkdir(exist_ok=True)
    (folder / "project/pipeline.yaml").write_text(_PIPELINE)
    if not (folder / "project/code.py").exists():
        (folder / "project/code.py").write_text("def first(): ...\ndef second(): ...\n")
    pipeline = read_pipeline(folder / "project")
    python = folder / "bin/python"
    place = folder / "handover"
    return hand_over(
        pipeline, place, runs=folder / "runs", python=python, env={"PYTHONPATH": "/x"}, **options
    )


def test_the_graph_retries_and_schedule_are_the_files(tmp_path: Path) -> None:
    found = _handed(tmp_path)
    assert list(found.steps) == ["first", "second"]
    assert found.steps["second"]["needs"] == ["first"]
    assert found.steps["first"] == {"needs": [], "retries": 2, "retry_delay": 3.0, "timeout": 60.0}
    assert (found.schedule, found.timezone) == ("0 5 * * *", "Europe/Brussels")
    assert _handed(tmp_path, schedule="1 1 * * *").schedule == "1 1 * * *"


def test_later_edits_leave_what_was_handed_over_alone(tmp_path: Path) -> None:
    before = _handed(tmp_path)
    code = tmp_path / "project/code.py"
    code.write_text("def first(): return 1\ndef second(): ...\n")
    after = _handed(tmp_path)
    assert before.version != after.version and before.file != after.file
    assert "return 1" not in (Path(before.file).parent / "code.py").read_text()


@pytest.mark.parametrize("write", [prefect.flow_file, airflow.dag_file])
def test_an_engines_file_is_data_and_one_call(tmp_path: Path, write: object) -> None:
    text = write(_handed(tmp_path))  # type: ignore[operator]
    compile(text, "file", "exec")
    imported = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert len(imported) == 1 and "millpond.pipelines.handover" in imported[0]


def test_a_runs_id_is_the_same_in_each_of_its_processes() -> None:
    begun = datetime.datetime(2026, 11, 24, 5, tzinfo=datetime.UTC)
    there = begun.astimezone(datetime.timezone(datetime.timedelta(hours=2)))
    assert run_id("two-steps", begun, "a") == run_id("two-steps", there, "a")
    assert run_id("two-steps", begun, "a").startswith("20261124-050000-two-steps-")
    assert run_id("two-steps", begun, "a") != run_id("two-steps", begun, "b")


@pytest.mark.parametrize("name", ["prefect", "airflow", "pipelines"])
@pytest.mark.parametrize(
    "interface", ["s3", "mlflow", "postgres", "iceberg", "kafka", "mysql", "elasticsearch", "sqlserver"]
)
def test_steps_find_by_every_engine_what_they_find_by_ours(name: str, interface: str) -> None:
    """A sink or a query that `millpond run` reaches is reached by the clock as well."""
    catalogue = Catalogue()
    processes = catalogue.entry(name).component.service.processes.values()
    found = {variable for process in processes for variable in process.env}
    assert set(catalogue.interfaces[interface].env) <= found


def test_a_missing_engine_is_told_with_the_way_to_have_one() -> None:
    with pytest.raises(MillpondError, match="no workflow engine") as none:
        engine_of({}, "airflow")
    assert "airflow" in str(none.value.hint)
    there = {"MILLPOND_WORKFLOW_ENGINE": "prefect", "MILLPOND_WORKFLOW_URL": "http://127.0.0.1:4200/api"}
    with pytest.raises(MillpondError, match="is prefect, not airflow"):
        engine_of(there, "airflow")


def test_a_run_between_two_steps_can_be_stopped_and_its_record_says_so(tmp_path: Path) -> None:
    _handed(tmp_path)
    run = "20261124-050000-two-steps-ab12"
    command = [sys.executable, "-m", "millpond.pipelines.step", "--pipeline", str(tmp_path / "project")]
    command += ["--runs", str(tmp_path / "runs"), "--run", run, "--engine-run", "theirs", "--engine", "other"]
    done = subprocess.run([*command, "--step", "first"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = Runs(tmp_path / "runs")
    asked = Stopped()
    record = control.cancel(asked, runs, runs.find("last"))  # type: ignore[arg-type]
    assert asked.stopped == [("two-steps", "theirs")]
    assert record.status == "cancelled"
    assert {name: step.status for name, step in record.steps.items()} == {
        "first": "done",
        "second": "cancelled",
    }
    with pytest.raises(MillpondError, match="other cannot go on with a run"):
        control.resume(asked, record)  # type: ignore[arg-type]


class Stopped:
    """An engine that stops at once what it is asked to stop, and cannot do more."""

    name = "other"

    def __init__(self) -> None:
        self.stopped: list[tuple[str, str]] = []

    def cancel(self, pipeline: str, run: str) -> None:
        self.stopped.append((pipeline, run))

    def run(self, pipeline: str, run: str) -> RunView:
        return RunView("cancelled" if self.stopped else "running")
