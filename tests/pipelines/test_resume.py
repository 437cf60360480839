"""Runs that are stopped, killed and gone on with, and runs that meet each other."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from millpond.model.errors import MillpondError
from millpond.pipelines.events import RunWaits
from millpond.pipelines.journal import Journal
from millpond.pipelines.launch import Launch
from millpond.pipelines.record import RunRecord, alive

from .conftest import Project, wait_for

# Each step notes that it ran to its end: one line per time.
STEPS = """
import os, pathlib, time

def work(name, notes, number=0):
    time.sleep(0.02)
    with open(notes, "a") as file:
        file.write(f"{name}\\n")
    return number + 1

def flaky(number, gate):
    assert pathlib.Path(gate).exists(), "the gate is shut"
    return number

def slow(started):
    pathlib.Path(started).touch()
    time.sleep(60)
"""


def chain(steps: int) -> str:
    """A pipeline of steps that are never cached."""
    lines = ["name: chain", "parameters: {notes: {type: string}}", "steps:"]
    for n in range(steps):
        lines += [f"  s{n}:", "    call: steps:work", "    cache: false"]
        lines.append(f'    with: {{name: s{n}, notes: "${{parameters.notes}}"}}')
        if n:
            lines.append(f'    inputs: {{number: "${{s{n - 1}.number}}"}}')
        lines.append("    outputs: {number: {type: number}}")
    return "\n".join([*lines, "results:", f'  Last: "${{s{steps - 1}.number}}"']) + "\n"


def resumed(project: Project, record: RunRecord) -> RunRecord:
    launch = Launch.of_record(project.runs.read(record.id))
    with launch.start(project.cluster.python, project.env()) as running:
        project.events = list(running)
        return running.record


@pytest.mark.slow
def test_a_failed_run_goes_on_where_it_failed(project: Project) -> None:
    project.write(
        """
        name: gate
        parameters: {notes: {type: string}, gate: {type: string}}
        steps:
          first: {call: "steps:work", cache: false, with: {name: first, notes: "${parameters.notes}"},
                  outputs: {number: {type: number}}}
          flaky: {call: "steps:flaky", with: {gate: "${parameters.gate}"},
                  inputs: {number: "${first.number}"}, outputs: {number: {type: number}}}
          last: {call: "steps:work", with: {name: last, notes: "${parameters.notes}"},
                 inputs: {number: "${flaky.number}"}, outputs: {number: {type: number}}}
        """,
        STEPS,
    )
    notes, gate = project.folder / "notes", project.folder / "gate"
    failed = project.run({"notes": str(notes), "gate": str(gate)})
    assert project.states(failed) == {"first": "done", "flaky": "failed", "last": "skipped"}
    gate.touch()
    record = resumed(project, failed)
    assert record.id == failed.id
    assert record.status == "succeeded"
    assert len(record.resumed) == 1
    assert notes.read_text().split() == ["first", "last"], "what was done was not done again"

    # A step whose code has changed since runs again, and what needs it.
    gate.unlink()
    failed = project.run({"notes": str(notes), "gate": str(gate)}, force=["all"])
    project.write((project.flow / "pipeline.yaml").read_text(), STEPS.replace("number + 1", "number + 2"))
    gate.touch()
    assert resumed(project, failed).steps["last"].outputs["number"].value == 4


@pytest.mark.slow
def test_killing_the_runner_at_any_point_loses_no_finished_step(project: Project) -> None:
    steps = 12
    project.write(chain(steps), STEPS)
    chance = random.Random(5)
    for trial in range(3):
        notes = project.folder / f"notes-{trial}"
        notes.touch()
        launch = project.launch({"notes": str(notes)})
        running = launch.start(project.cluster.python, project.env())
        kills = 0
        while True:
            with running:
                stop = threading.Thread(target=lambda process=running.process: [*process.stdout], daemon=True)
                stop.start()
                folder = project.runs.folder / launch.id
                wait_for(folder.exists)
                done = len(Journal(folder).outcomes())
                target = chance.randint(done, steps)
                wait_for(lambda f=folder, t=target: len(Journal(f).outcomes()) >= t or not alive(f))
                time.sleep(chance.random() * 0.05)  # somewhere inside a step
                with_group = os.getpgid(running.process.pid)
                os.killpg(with_group, signal.SIGKILL)
                running.process.wait()
            kills += 1
            record = project.runs.read(launch.id)
            if record.status == "succeeded" or kills > 3:
                break
            finished = {name for name, step in record.steps.items() if step.status == "done"}
            before = {name: notes.read_text().split().count(name) for name in finished}
            running = Launch.of_record(record).start(project.cluster.python, project.env())
        if record.status != "succeeded":
            record = resumed(project, record)
        assert record.status == "succeeded"
        assert record.results == {"Last": steps}
        written = notes.read_text().split()
        assert {name: written.count(name) for name in before} == before, "a finished step ran again"
        assert set(written) == {f"s{n}" for n in range(steps)}


@pytest.mark.slow
def test_a_run_of_another_terminal_is_cancelled(project: Project) -> None:
    project.write(
        """
        name: slow
        parameters: {started: {type: string}}
        steps:
          slow: {call: "steps:slow", with: {started: "${parameters.started}"}}
          later: {call: "steps:slow", after: [slow], with: {started: "${parameters.started}"}}
        """,
        STEPS,
    )
    started = project.folder / "started"
    launch = project.launch({"started": str(started)})
    with launch.start(project.cluster.python, project.env()) as running:
        threading.Thread(
            target=lambda: wait_for(started.exists) and Journal(running.record.folder).cancel()
        ).start()
        project.events = list(running)
    record = project.runs.read(launch.id)
    assert record.status == "cancelled"
    assert project.states(record) == {"slow": "cancelled", "later": "cancelled"}


@pytest.mark.slow
def test_a_run_that_goes_on_is_not_gone_on_with(project: Project, tmp_path: Path) -> None:
    project.write(
        """
        name: slow
        parameters: {started: {type: string}}
        steps: {slow: {call: "steps:slow", with: {started: "${parameters.started}"}}}
        """,
        STEPS,
    )
    started = project.folder / "started"
    launch = project.launch({"started": str(started)})
    with launch.start(project.cluster.python, project.env()) as running:
        wait_for(started.exists)
        with pytest.raises(MillpondError, match="goes on"):
            project.runs.reopen(launch.id)
        running.cancel()
        list(running)


@pytest.mark.slow
def test_two_runs_that_write_the_same_places_do_not_mix(project: Project) -> None:
    project.write(
        """
        name: meeting
        parameters: {word: {type: string}, wait: {type: string, default: ""}}
        steps:
          write:
            call: steps:write
            with: {word: "${parameters.word}"}
            outputs: {text: {type: text, path: raw/meeting/word.txt}}
          read:
            call: steps:read
            inputs: {text: "${write.text}"}
            outputs: {text: {type: text}}
        results: {Word: "${read.text}"}
        """,
        """
        import time

        def write(word): return word

        def read(text):
            time.sleep(0.5)
            return text
        """,
    )
    found: dict[str, RunRecord] = {}
    waited: list[RunWaits] = []

    def run(word: str) -> None:
        launch = project.launch({"word": word})
        with launch.start(project.cluster.python, project.env()) as running:
            waited.extend(event for event in running if isinstance(event, RunWaits))
            found[word] = running.record

    threads = [threading.Thread(target=run, args=(word,)) for word in ("one", "two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {word: record.results.get("Word") for word, record in found.items()} == {
        "one": "one",
        "two": "two",
        "three": "three",
    }
    assert waited, "they met"
    assert not list((project.runs.folder / ".claims").glob("*.json"))


@pytest.mark.slow
def test_bytes_that_something_else_replaced_are_refused(project: Project) -> None:
    project.write(
        """
        name: replaced
        steps:
          write: {call: "steps:write", outputs: {text: {type: text, path: raw/replaced/word.txt}}}
          meddle: {call: "steps:meddle", after: [write]}
          read: {call: "steps:read", inputs: {text: "${write.text}"}, after: [meddle]}
        """,
        """
        from millpond.lake.reference import LakePath
        from millpond.lake.store import open_store

        def write(): return "one"
        def meddle(): open_store().put(LakePath.parse("raw/replaced/word.txt"), b"two")
        def read(text): return None
        """,
    )
    record = project.run()
    assert project.states(record)["read"] == "failed"
    assert "was replaced after" in (record.steps["read"].error or {})["message"]
