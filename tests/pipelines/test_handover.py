"""What is handed over to a workflow engine: one version of a pipeline, as data in a small file."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from millpond.model.errors import MillpondError
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.handover import airflow, prefect
from millpond.pipelines.handover.document import Handover, hand_over
from millpond.pipelines.handover.engine import engine_of
from millpond.pipelines.handover.process import run_id

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


def test_a_missing_engine_is_told_with_the_way_to_have_one() -> None:
    with pytest.raises(MillpondError, match="no workflow engine") as none:
        engine_of({}, "airflow")
    assert "airflow" in str(none.value.hint)
    there = {"MILLPOND_WORKFLOW_ENGINE": "prefect", "MILLPOND_WORKFLOW_URL": "http://127.0.0.1:4200/api"}
    with pytest.raises(MillpondError, match="is prefect, not airflow"):
        engine_of(there, "airflow")
