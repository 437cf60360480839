"""Pipelines run on real Dask workers: values, caching, parameters, logs, records."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from millpond.lake.store import FileStore
from millpond.model.errors import MillpondError, UsageError
from millpond.pipelines.events import RunEnded, RunRefused, StepProgress

from .conftest import Project

FLOW = """
    name: flow
    parameters:
      date: {type: date, default: 2026-11-22}
      rows: {type: integer, default: 10}
      factor: {type: number, default: 2}
    steps:
      load:
        call: steps:load
        with: {rows: "${parameters.rows}"}
        outputs:
          data: {type: table, path: "raw/flow/${parameters.date}/data.parquet"}
          text: {type: table, path: "raw/flow/${parameters.date}/data.csv", separator: ";"}
      total:
        call: steps:total
        inputs: {data: "${load.data}", text: "${load.text}"}
        outputs: {total: {type: number}}
      scale:
        call: steps:scale
        inputs: {total: "${total.total}"}
        with: {factor: "${parameters.factor}", day: "${parameters.date}"}
        outputs: {scaled: {type: json}, note: {type: text, path: "results/${parameters.date}/note.txt"}}
      lines:
        use: command
        run: [python, count.py, "${inputs.text}", "${outputs.lines}"]
        inputs: {text: "${load.text}"}
        outputs: {lines: {type: number}}
    results: {Total: "${total.total}", Note: "${scale.note}"}
"""
STEPS = """
    import pandas as pd
    from millpond.lake.reference import Reference
    from millpond.pipelines.context import StepContext

    def load(rows):
        frame = pd.DataFrame({"n": range(rows), "name": [f"n{i}" for i in range(rows)]})
        return {"data": frame, "text": frame}

    def total(data: pd.DataFrame, text: pd.DataFrame) -> int:
        assert data.equals(text), (data, text)
        return data["n"].sum()

    def scale(total: int, factor: float, day, context: StepContext):
        context.progress(0.5, "half way")
        return {"scaled": {"value": total * factor, "day": day}, "note": f"{total} on {day:%d.%m.%Y}"}
"""
COUNT = """
    import sys
    lines = open(sys.argv[1]).read().splitlines()
    assert lines[0] == "n;name", lines[0]
    print("counted", len(lines))
    open(sys.argv[2], "w").write(str(len(lines)))
"""


@pytest.fixture
def flow(project: Project) -> Project:
    project.write(FLOW, STEPS, count=COUNT)
    return project


def test_values_pass_through_the_lake_and_by_value(flow: Project) -> None:
    record = flow.run()
    assert record.status == "succeeded", flow.events[-3:]
    assert set(flow.states(record).values()) == {"done"}
    assert record.steps["scale"].outputs["scaled"].value == {"value": 90.0, "day": "2026-11-22"}
    assert record.results == {"Total": 45, "Note": "s3://results/2026-11-22/note.txt"}
    store = FileStore(flow.lake)
    assert store.read("results/2026-11-22/note.txt") == b"45 on 22.11.2026"
    assert store.list("raw") == ["flow/2026-11-22/data.csv", "flow/2026-11-22/data.parquet"]
    data = record.steps["load"].outputs["data"]
    assert (data.rows, data.type, record.steps["total"].inputs["data"]) == (10, "table", data)
    assert flow.runs.log(record, "lines") == "counted 11\n"
    assert StepProgress("scale", 0.5, "half way") in flow.events
    ended = flow.events[-1]
    assert isinstance(ended, RunEnded)
    assert ended.results["Total"] == 45


@pytest.mark.slow
def test_nothing_runs_twice_and_an_edit_reaches_only_what_it_changes(flow: Project) -> None:
    first = flow.run()
    again = flow.run()
    assert set(flow.states(again).values()) == {"cached"}
    assert again.steps["load"].from_run == first.id
    assert again.results == first.results
    assert again.steps["load"].outputs == first.steps["load"].outputs

    # Another text, the same value: what needs it is not run again.
    flow.write(FLOW, STEPS.replace('data["n"].sum()', 'text["n"].sum()'), count=COUNT)
    edited = flow.run()
    assert flow.states(edited) == {"load": "cached", "total": "done", "scale": "cached", "lines": "cached"}

    # The long-lived workers take the edited code, and its new value reaches those who need it.
    flow.write(FLOW, STEPS.replace('data["n"].sum()', 'data["n"].sum() + 1'), count=COUNT)
    edited = flow.run()
    assert flow.states(edited) == {"load": "cached", "total": "done", "scale": "done", "lines": "cached"}
    assert edited.results["Total"] == 46

    forced = flow.run(force=["load"])
    assert flow.states(forced)["load"] == "done"
    assert forced.steps["load"].outputs == first.steps["load"].outputs, "the same data gives the same bytes"

    (flow.lake / "raw/flow/2026-11-22/data.csv").unlink()
    assert flow.states(flow.run())["load"] == "done", "an output that is gone is made again"
    (flow.lake / "raw/flow/2026-11-22/data.csv").write_text("n;name\n")
    assert flow.states(flow.run())["load"] == "done", "an output that was changed is made again"


def test_parameters_run_only_the_steps_that_use_them(flow: Project) -> None:
    flow.run()
    assert flow.states(flow.run({"factor": "3"})) == {
        "load": "cached",
        "total": "cached",
        "scale": "done",
        "lines": "cached",
    }
    assert set(flow.states(flow.run({"date": "2026-11-23"}, only=["total"]))) == {"load", "total"}
    with pytest.raises(UsageError, match="no parameter facto"):
        flow.launch({"facto": 3})
    with pytest.raises(UsageError, match="no step totl"):
        flow.launch(only=["totl"])


def test_the_record_tells_where_a_run_came_from(flow: Project) -> None:
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(flow.folder), *identity, *words], check=True)
    record = flow.run()
    assert record.commit
    assert len(record.commit) == 40
    assert record.dirty is False
    assert record.id.split("-")[2] == "flow"
    assert record.environment["python"].startswith("3.")
    assert record.seconds is not None
    assert record.steps["load"].worker
    assert flow.runs.find("last").as_dict() == record.as_dict()
    assert flow.runs.find(record.id[-4:]).id == record.id
    assert [found.id for found in flow.runs.list("flow")] == [record.id]
    assert flow.runs.list("other") == []
    on_disk = json.loads((record.folder / "run.json").read_text())
    assert on_disk["parameters"] == {"date": "2026-11-22", "rows": 10, "factor": 2.0}
    with pytest.raises(MillpondError, match="there is no run 2001"):
        flow.runs.find("2001")


def test_what_a_step_prints_logs_and_warns_is_its_log(project: Project) -> None:
    project.write(
        """
        name: talk
        steps:
          a: {call: "steps:talk", with: {name: a}, cache: false}
          b: {call: "steps:talk", with: {name: b}, cache: false}
          c: {call: "steps:talk", with: {name: c}, cache: false}
          shell: {use: command, run: "echo out; echo err >&2; pwd"}
        """,
        """
        import logging, sys, threading, warnings
        def talk(name):
            for number in range(3):
                print("print", name, number)
            print("error", name, file=sys.stderr)
            logging.getLogger("mine").info("logged %s", name)
            warnings.warn(f"warned {name}")
            thread = threading.Thread(target=print, args=("thread", name))
            thread.start(); thread.join()
        """,
    )
    record = project.run()
    for name in "abc":
        log = project.runs.log(record, name)
        for line in (
            f"print {name} 2\n",
            f"error {name}\n",
            f"logged {name}\n",
            f"warned {name}\n",
            f"thread {name}\n",
        ):
            assert line in log
        assert not any(f"print {other}" in log for other in "abc" if other != name)
        assert project.printed(name) == log
    assert project.runs.log(record, "shell").startswith("out\nerr\n")
    with pytest.raises(MillpondError, match="has no step d"):
        project.runs.log(record, "d")


def test_inputs_from_the_lake_and_references(project: Project) -> None:
    place = project.lake / "raw/own.csv"
    place.parent.mkdir(parents=True)
    place.write_text("a;b\n1;2\n")
    project.write(
        """
        name: own
        steps:
          read:
            call: steps:read
            inputs:
              table: {path: raw/own.csv, separator: ";"}
              file: {path: raw/own.csv, type: file}
              ref: raw/own.csv
            outputs: {found: {type: json}}
          gone:
            call: steps:gone
            inputs: {file: raw/gone.csv}
        """,
        """
        from pathlib import Path
        from millpond.lake.reference import Reference
        from millpond.pipelines.context import StepContext

        def read(table, file, ref: Reference, c: StepContext):
            assert isinstance(file, Path)
            return {"columns": list(table.columns), "text": file.read_text(), "uri": ref.uri,
                    "raw": c.store.read(ref.path).decode(), "version": c.inputs["table"].version}

        def gone(file): ...
        """,
    )
    record = project.run()
    found = record.steps["read"].outputs["found"].value
    assert found["columns"] == ["a", "b"]
    assert found["text"] == found["raw"] == "a;b\n1;2\n"
    assert found["uri"] == "s3://raw/own.csv"
    error = record.steps["gone"].error
    assert error is not None
    assert error["message"] == "the input s3://raw/gone.csv is not in the lake"
    place.write_text("a;b\n3;4\n")
    assert project.states(project.run(only=["read"])) == {"read": "done"}


def test_pipelines_with_modules_of_one_name_do_not_meet(cluster: object, tmp_path: Path) -> None:
    for number in (1, 2, 1):
        project = Project(tmp_path / str(number), cluster)  # type: ignore[arg-type]
        project.write(
            """
            name: own
            steps:
              a: {call: "steps:value", outputs: {x: {type: number}}, cache: false}
              b: {call: "steps:value", outputs: {x: {type: number}}, cache: false}
            """,
            "import shared\ndef value():\n    import late\n    return shared.X + late.Y\n",
            shared=f"X = {number}",
            late=f"Y = {number * 10}",
        )
        record = project.run()
        assert {step.outputs["x"].value for step in record.steps.values()} == {number * 11}


@pytest.mark.slow
def test_two_runs_at_once_do_not_clash(flow: Project) -> None:
    launches = [flow.launch({"date": f"2026-11-0{day}"}) for day in (1, 2)]
    runs = [launch.start(flow.cluster.python, flow.env()) for launch in launches]
    with runs[0], runs[1]:
        for running in runs:
            list(running)
    assert [running.record.status for running in runs] == ["succeeded", "succeeded"]
    assert set(flow.states(flow.run({"date": "2026-11-01"})).values()) == {"cached"}
    assert set(flow.states(flow.run({"date": "2026-11-02"})).values()) == {"cached"}


@pytest.mark.slow
def test_without_a_platform_the_engine_brings_its_own_workers(flow: Project) -> None:
    flow.environment = {"DASK_SCHEDULER_ADDRESS": ""}
    record = flow.run()
    assert record.status == "succeeded"
    assert flow.states(flow.run())["total"] == "cached"


def test_a_platform_that_is_away_is_told(flow: Project) -> None:
    flow.environment = {
        "DASK_SCHEDULER_ADDRESS": "tcp://127.0.0.1:9",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "1s",
    }
    record = flow.run()
    assert record.status == "failed"
    refused = [event for event in flow.events if isinstance(event, RunRefused)]
    assert "tcp://127.0.0.1:9 cannot be reached" in str(refused[0].error["message"])


def shouting_wheel(folder: Path) -> Path:
    """A package with a kind of step and a sink, as its author would build it."""
    info = "shouting-1.0.dist-info"
    files = {
        "shouting.py": SHOUTING,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: shouting\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[millpond.steps]\nshout = shouting:Shout\n\n"
        "[millpond.sinks]\nupper = shouting:Upper\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    wheel = folder / "shouting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


SHOUTING = """from millpond.lake.reference import Reference
from millpond.pipelines.extension import Keys, Sink, StepKind

class ShoutKeys(Keys):
    word: str

class Shout(StepKind):
    keys = ShoutKeys
    def run(self, call):
        print("shouting")
        return {"loud": call.keys.word + "!"}

class Upper(Sink):
    def write(self, value, port, call):
        return Reference.of_value(value.upper(), port.type)
    def exists(self, reference, port):
        return True
"""


def test_a_kind_that_is_installed_later_serves_the_next_run(project: Project) -> None:
    project.write(
        "name: later\nsteps:\n  tell: {use: shout, word: mill, outputs: {loud: {type: text, sink: upper}}}\n"
    )
    assert project.launch().pipeline.steps["tell"].keys == {"word": "mill"}
    with project.launch().start(project.cluster.python, project.env()) as running:
        refused = [event for event in running if isinstance(event, RunRefused)]
    assert "shout" in str(refused[0].error)

    uv = str(Path(sys.executable).parent / "uv")
    wheel = shouting_wheel(project.folder)
    target = str(project.cluster.plugins)
    install = [uv, "pip", "install", "-q", "--offline", "--no-deps", "--target", target, str(wheel)]
    subprocess.run(install, check=True)

    record = project.run()
    assert record.status == "succeeded", project.events
    assert record.steps["tell"].outputs["loud"].value == "MILL!"
    assert project.runs.log(record, "tell") == "shouting\n"
    assert project.states(project.run()) == {"tell": "cached"}
