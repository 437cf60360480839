"""What goes wrong is told in a sentence, touches nothing else, and loses nothing that was done."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from millpond.pipelines.events import RunEnded, StepChanged

from .conftest import Project, started, wait_for


def test_a_failure_stops_only_what_needs_it(project: Project) -> None:
    project.write(
        """
        name: part
        steps:
          bad: {call: "steps:bad", outputs: {x: {type: number}}}
          needs: {call: "steps:plus", inputs: {x: "${bad.x}"}, outputs: {x: {type: number}}}
          far: {call: "steps:plus", inputs: {x: "${needs.x}"}, outputs: {x: {type: number}}}
          good: {call: "steps:one", outputs: {x: {type: number}}}
          wrong: {call: "steps:word", outputs: {x: {type: number}}}
          told: {call: "steps:told", after: [good]}
          command: {use: command, run: [python, -c, "raise SystemExit(3)"]}
        """,
        """
        from millpond.model.errors import MillpondError

        def bad():
            table = {"a": 1}
            return helper(table)

        def helper(table):
            return table["b"]

        def plus(x): return x + 1
        def one(): return 1
        def word(): return "one"
        def told(): raise MillpondError("the mill stands still", hint="wait for wind")
        """,
    )
    record = project.run()
    assert record.status == "failed"
    assert project.states(record) == {
        "bad": "failed",
        "needs": "skipped",
        "far": "skipped",
        "good": "done",
        "wrong": "failed",
        "told": "failed",
        "command": "failed",
    }
    error = record.steps["bad"].error
    assert error is not None
    assert (error["type"], error["file"], error["line"]) == ("KeyError", "steps.py", 9)
    assert error["source"] == 'return table["b"]'
    assert error["traceback"].startswith('  File "steps.py", line 6, in bad\n'), "only the user's own frames"
    assert "millpond" not in error["traceback"]
    assert project.runs.log(record, "bad").endswith("KeyError: 'b'\n")
    errors = {name: step.error or {} for name, step in record.steps.items()}
    assert (
        errors["wrong"]["message"] == "the output x (number) cannot be written: a number is expected, not str"
    )
    assert (errors["told"]["message"], errors["told"]["hint"]) == ("the mill stands still", "wait for wind")
    assert "traceback" not in errors["told"]
    assert errors["command"]["message"] == "the command failed: exit code 3"
    assert errors["far"]["message"] == "it needs needs"

    again = project.run()
    assert project.states(again)["good"] == "cached"
    assert project.states(again)["bad"] == "failed"


def test_retries_wait_and_then_succeed_or_give_up(project: Project) -> None:
    project.write(
        """
        name: again
        steps:
          third:
            call: steps:third
            with: {place: PLACE}
            outputs: {n: {type: number}}
            retries: 2
            retry_delay: 200ms
          never: {call: "steps:never", retries: 1}
        """.replace("PLACE", str(project.folder / "tries")),
        """
        from pathlib import Path
        def third(place):
            tries = Path(place)
            tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
            if len(tries.read_text()) < 3:
                raise OSError("not yet")
            return len(tries.read_text())
        def never():
            raise OSError("never")
        """,
    )
    record = project.run()
    assert project.states(record) == {"third": "done", "never": "failed"}
    assert (record.steps["third"].attempts, record.steps["never"].attempts) == (3, 2)
    retries = [change for change in project.changes("third") if change.state == "retry"]
    assert [(change.attempt, change.delay) for change in retries] == [(1, 0.2), (2, 0.2)]
    assert retries[0].error is not None
    assert retries[0].error["message"] == "not yet"
    assert record.steps["third"].seconds >= 0.4


def test_a_step_that_takes_too_long_is_stopped(project: Project) -> None:
    project.write(
        """
        name: slow
        steps:
          busy: {call: "steps:busy", timeout: 300ms, outputs: {x: {type: number}}}
          after: {call: "steps:plus", inputs: {x: "${busy.x}"}}
          command: {use: command, run: [sleep, "60"], timeout: 300ms}
          good: {call: "steps:one", timeout: 1m}
        """,
        """
        import time
        def busy():
            while True:
                time.sleep(0.01)
        def plus(x): ...
        def one(): ...
        """,
    )
    begin = time.monotonic()
    record = project.run()
    assert time.monotonic() - begin < 30
    assert project.states(record) == {
        "busy": "failed",
        "after": "skipped",
        "command": "failed",
        "good": "done",
    }
    for name in ("busy", "command"):
        assert (record.steps[name].error or {})["message"] == "the step did not finish within 0.3 s"


@pytest.mark.slow
def test_a_step_that_cannot_be_stopped_costs_its_worker_and_nothing_else(project: Project) -> None:
    project.write(
        """
        name: stuck
        steps:
          before: {call: "steps:one", outputs: {x: {type: number}}}
          stuck:
            {call: "steps:stuck", inputs: {x: "${before.x}"}, timeout: 300ms, outputs: {x: {type: number}}}
          after: {call: "steps:stuck", inputs: {x: "${stuck.x}"}}
          good: {call: "steps:late", after: [before], outputs: {x: {type: number}}}
        """,
        """
        import time
        def one(): return 1
        def stuck(x): time.sleep(45)
        def late():
            time.sleep(1)
            return 1
        """,
    )
    begin = time.monotonic()
    record = project.run()
    assert time.monotonic() - begin < 40
    assert project.states(record) == {"before": "done", "stuck": "failed", "after": "skipped", "good": "done"}
    assert "does not stop" in (record.steps["stuck"].error or {})["message"]


@pytest.mark.slow
def test_a_worker_that_dies_is_told_and_only_its_step_fails(project: Project) -> None:
    project.write(
        """
        name: dying
        steps:
          before: {call: "steps:count", with: {place: PLACE}, outputs: {x: {type: number}}}
          dies: {call: "steps:die", inputs: {x: "${before.x}"}, outputs: {x: {type: number}}}
          after: {call: "steps:use", inputs: {x: "${dies.x}"}}
          other: {call: "steps:use", inputs: {x: "${before.x}"}}
          revives: {call: "steps:once", with: {place: OTHER}, retries: 1, outputs: {x: {type: number}}}
        """.replace("PLACE", str(project.folder / "calls")).replace("OTHER", str(project.folder / "once")),
        """
        import ctypes, os, signal
        from pathlib import Path
        def count(place):
            with open(place, "a") as file:
                file.write("x")
            return 1
        def die(x):
            ctypes.string_at(0)
        def once(place):
            if not Path(place).exists():
                Path(place).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return 2
        def use(x): ...
        """,
    )
    record = project.run()
    assert project.states(record) == {
        "before": "done",
        "dies": "failed",
        "after": "skipped",
        "other": "done",
        "revives": "done",
    }
    assert (record.steps["dies"].error or {})["message"] == "the worker process died while the step ran"
    assert record.steps["revives"].attempts == 2
    assert (project.folder / "calls").read_text() == "x", (
        "a finished step is not run again when its worker dies"
    )


WAITING = """
    name: waiting
    steps:
      first: {call: "steps:first", outputs: {x: {type: number}}}
      long: {call: "steps:long", inputs: {x: "${first.x}"}, outputs: {x: {type: number}}}
      last: {call: "steps:last", after: [long], outputs: {x: {type: number}}}
"""
WAITING_STEPS = """
    import time
    def first(): return 1
    def last(): return 3
    def long(x):
        for _ in range(3000):
            time.sleep(0.01)
        return 2
"""


@pytest.mark.slow
def test_ctrl_c_cancels_and_the_record_says_so(project: Project) -> None:
    project.write(WAITING, WAITING_STEPS)
    states: dict[str, str] = {}
    with project.launch().start(project.cluster.python, project.env()) as running:
        for event in running:
            if isinstance(event, StepChanged):
                states[event.step] = event.state
                if event.state == "running" and event.step == "long":
                    # What the terminal sends on Ctrl-C, to this process alone.
                    threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()
            ended = event
        record = running.record
    assert isinstance(ended, RunEnded)
    assert ended.status == record.status == "cancelled"
    assert project.states(record) == states == {"first": "done", "long": "cancelled", "last": "cancelled"}
    assert running.process.returncode == 130


def test_a_killed_runner_leaves_a_record_that_is_interrupted_and_nothing_is_lost(project: Project) -> None:
    project.write(WAITING, WAITING_STEPS)
    with project.launch().start(project.cluster.python, project.env()) as running:
        folder = running.launch.runs / running.launch.id
        wait_for((folder / "steps/first.json").exists)
        assert running.record.status == "running"
        running.kill()
    record = project.runs.find("last")
    assert record.status == "interrupted"
    assert project.states(record) == {"first": "done", "long": "interrupted", "last": "interrupted"}

    project.write(WAITING, WAITING_STEPS.replace("range(3000)", "range(1)"))
    again = project.run()
    assert project.states(again) == {"first": "cached", "long": "done", "last": "done"}
    assert again.steps["first"].from_run == record.id


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_told_and_what_was_done_is_kept(
    project: Project, science_python: Path
) -> None:
    project.write(WAITING, WAITING_STEPS)
    with started(science_python, project.folder / "dask") as other:
        project.environment = {"DASK_SCHEDULER_ADDRESS": other.address}
        with project.launch().start(science_python, project.env()) as running:
            for event in running:
                if isinstance(event, StepChanged) and (event.step, event.state) == ("long", "running"):
                    other.scheduler.kill()
            record = running.record
    assert record.status == "failed"
    assert project.states(record) == {"first": "done", "long": "failed", "last": "skipped"}
    assert (record.steps["long"].error or {})["message"] == "the Dask scheduler went away during the run"
    project.environment = {}
    project.write(WAITING, WAITING_STEPS.replace("range(3000)", "range(1)"))
    assert project.states(project.run())["first"] == "cached"


def test_a_runner_that_cannot_start_is_told_with_its_last_words(project: Project, tmp_path: Path) -> None:
    from millpond.model.errors import MillpondError

    project.write("name: none\nsteps: {a: {call: 'steps:a'}}\n", "def a(): ...")
    running = project.launch().start(project.cluster.python, {"PATH": os.environ["PATH"]})
    with running, pytest.raises(MillpondError, match="the runner broke off") as caught:
        list(running)
    assert "No module named" in caught.value.details[-1]
