"""Steps in environments and processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from millpond.cli.running import step_environments
from millpond.model.errors import MillpondError
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.record import RunRecord

from .conftest import Project

STEPS = """
import os, sys, time
from millpond.pipelines.context import StepContext

def table():
    import pandas as pd
    return pd.DataFrame({"x": [1, 2, 3]})

def count(table): return len(table)

def version(context: StepContext):
    import humanize
    context.progress(0.5, "half way")
    print("it is", humanize.__version__)
    return {"version": humanize.__version__, "prefix": sys.prefix}

def missing():
    import humanize

def fails():
    table = {}
    return table["a"]

def hungry():
    held = []
    while True:
        held.append(bytearray(16 << 20))
        time.sleep(0.05)

def threads(): return os.environ["OMP_NUM_THREADS"]
def sleeps():
    while True: time.sleep(0.1)
def dies(): os._exit(7)
"""


def run(project: Project, parameters: dict[str, object] | None = None, **options: object) -> RunRecord:
    """Run as the command line does, with the environments of the steps."""
    project.events = []
    launch = project.launch(parameters, **options)
    found = step_environments(launch.pipeline, launch.steps, project.folder / ".millpond")
    with launch.start(project.cluster.python, project.env(), found) as running:
        project.events.extend(running)
        return running.record


@pytest.mark.slow
def test_steps_have_packages_of_their_own(project: Project) -> None:
    project.write(
        """
        name: packages
        steps:
          old: {call: "steps:version", environment: [humanize==4.11.0], outputs: {found: {type: json}}}
          same: {call: "steps:version", environment: [humanize==4.11.0], outputs: {found: {type: json}},
                 after: [old]}
          new: {call: "steps:version", environment: requirements.in, outputs: {found: {type: json}}}
          without: {call: "steps:missing"}
        """,
        STEPS,
    )
    (project.flow / "requirements.in").write_text("# other\nhumanize==4.12.0\n")
    record = run(project)
    found = {name: record.steps[name].outputs["found"].value for name in ("old", "same", "new")}
    assert [found[name]["version"] for name in found] == ["4.11.0", "4.11.0", "4.12.0"]
    assert found["old"]["prefix"] == found["same"]["prefix"] != found["new"]["prefix"]
    assert record.steps["without"].status == "failed", "the run's own environment is as it was"
    assert "it is 4.11.0" in project.printed("old")
    locks = list((project.folder / ".millpond/environments").glob("*/requirements.lock"))
    assert len(locks) == 2
    assert all("--hash=sha256:" in lock.read_text() for lock in locks)

    assert run(project).steps["old"].status == "cached"
    (project.flow / "requirements.in").write_text("humanize==4.11.0\n")
    again = run(project)
    assert again.steps["new"].status == "cached", "equal environments, equal results"
    assert again.steps["new"].outputs["found"].value["version"] == "4.11.0"


@pytest.mark.slow
def test_resources_limit_a_step_and_leave_the_worker_alone(project: Project) -> None:
    project.write(
        """
        name: resources
        steps:
          hungry: {call: "steps:hungry", resources: {memory: 400Mi}}
          threads: {call: "steps:threads", resources: {cpus: 3}, outputs: {n: {type: text}}}
          fails: {call: "steps:fails", resources: {cpus: 1}}
          sleeps: {call: "steps:sleeps", resources: {cpus: 1}, timeout: 1s}
          table: {call: "steps:table", resources: {cpus: 1},
                  outputs: {table: {type: table, path: raw/resources/t.parquet}}}
          count: {call: "steps:count", resources: {cpus: 1}, inputs: {table: "${table.table}"},
                  outputs: {n: {type: number}}}
          dies: {call: "steps:dies", resources: {cpus: 1}}
        """,
        STEPS,
    )
    record = run(project)
    errors = {name: step.error or {} for name, step in record.steps.items()}
    assert "MiB of memory, and its resources allow 400 MiB" in errors["hungry"]["message"]
    assert record.steps["count"].outputs["n"].value == 3
    assert record.steps["threads"].outputs["n"].value == "3"
    assert (errors["fails"]["type"], errors["fails"]["file"]) == ("KeyError", "steps.py")
    assert errors["fails"]["source"] == 'return table["a"]'
    assert errors["sleeps"]["type"] == "Timeout"
    assert "ended without an answer: exit code 7" in errors["dies"]["message"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("[../mine]", None),
        ("['-r other.txt']", "names no package"),
        ("['git+https://example.org/x']", "names no package"),
        ("nowhere.txt", "there is no file nowhere.txt"),
        ("hashed.lock", "hashed.lock lacks pydantic, pyyaml, which every step needs"),
    ],
)
def test_an_environment_is_checked_before_anything_runs(
    tmp_path: Path, given: str, message: str | None
) -> None:
    (tmp_path / "hashed.lock").write_text("boto3==1.0 \\\n    --hash=sha256:00\n")
    (tmp_path / "pipeline.yaml").write_text(
        f"name: x\nsteps:\n  a:\n    use: command\n    run: [{os.devnull}]\n    environment: {given}\n"
    )
    if message is None:
        read_pipeline(tmp_path)
    else:
        with pytest.raises(MillpondError, match=r":6:") as caught:
            read_pipeline(tmp_path)
        assert message in str(caught.value)
