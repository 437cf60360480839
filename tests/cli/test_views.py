"""What is drawn while a platform comes up and a pipeline runs."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from millpond.cli.run_views import LiveRunView, PlainRunView
from millpond.cli.running import show_results
from millpond.cli.views import JsonView, LiveView, PlainView, View
from millpond.model.events import ComponentEvent, Phase, Progress
from millpond.pipelines.events import RunEnded, RunStarted, StepChanged, StepLogged, StepProgress

NOW = time.time()


def coming_up() -> Iterator[ComponentEvent]:
    for done in range(0, 130, 2):
        yield ComponentEvent(
            "store", Phase.INSTALLING, NOW, "download", progress=Progress("pip", done, 128, "packages")
        )
    yield ComponentEvent("page", Phase.WAITING, NOW, "for store")
    yield ComponentEvent("store", Phase.STARTING, NOW + 1)
    yield ComponentEvent("store", Phase.READY, NOW + 2, seconds=2.0)
    yield ComponentEvent("page", Phase.STARTING, NOW + 2)
    yield ComponentEvent("page", Phase.FAILED, NOW + 3, "page: it ended", hint="look", details=("a", "b"))


def told(view: View) -> View:
    for event in coming_up():
        view(event)
    return view


def test_plain_lines_do_not_repeat_themselves(capfd: pytest.CaptureFixture[str]) -> None:
    told(PlainView(["store", "page"]))
    lines = [line.split() for line in capfd.readouterr().err.splitlines()]
    assert [(line[0], line[1]) for line in lines] == [
        ("store", "installing"),
        ("page", "waiting"),
        ("store", "starting"),
        ("store", "ready"),
        ("page", "starting"),
        ("page", "failed"),
    ]


def test_json_lines_are_the_events(capfd: pytest.CaptureFixture[str]) -> None:
    told(JsonView())
    found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert len(found) == len(list(coming_up()))
    assert found[-1]["hint"] == "look"
    assert "seconds" not in found[-1]


@pytest.mark.parametrize("columns", [24, 60, 120])
def test_the_live_view_is_one_line_per_component_at_any_width(columns: int) -> None:
    view = LiveView(["store", "page", "late"])
    # A slow run of all tests comes here a minute after the events were made.
    view.clock = lambda: NOW + 1
    view.board.take(next(iter(coming_up())))
    console = Console(width=columns, record=True, file=io.StringIO())
    console.print(view.drawing.render())
    lines = console.export_text().rstrip("\n").splitlines()
    assert len(lines) == 3
    assert all(len(line) <= columns for line in lines)
    assert lines[0].startswith("sto")
    if columns > 60:
        assert "0/128 packages" in lines[0]
        assert "queued" in lines[2]


def test_the_live_view_says_in_words_what_colours_say() -> None:
    view = LiveView(["store", "page"])
    for event in coming_up():
        view.board.take(event)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(view.drawing.render())
    shown = console.export_text()
    assert "ready" in shown
    assert "failed" in shown
    assert "page: it ended" in shown
    assert view.board.up == 1


def running() -> Iterator[object]:
    yield RunStarted("r1", "p", "/x", {}, {"load": {}, "train": {}})
    yield StepChanged("load", "running", 1)
    yield StepProgress("load", 0.5, "half of it")
    yield StepLogged("load", "a line\nanother\n")
    yield StepChanged("load", "done", 1, 2.5)
    yield StepChanged("train", "running", 1)
    yield StepChanged("train", "retry", 1, error={"message": "no luck"}, delay=3.0)
    yield StepChanged("train", "failed", 2, 1.0, error={"message": "no luck again"})
    yield RunEnded("r1", "failed", 4.0, {}, {"done": 1, "failed": 1})


def test_a_run_in_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    view = PlainRunView(logs=True)
    for event in running():
        view(event)  # type: ignore[arg-type]
    said = capfd.readouterr().err
    assert "load   │ another" in said
    assert "again in 3.0 s: no luck" in said
    assert view.ended is not None
    assert view.rows["train"].error == {"message": "no luck again"}


def test_a_run_drawn() -> None:
    view = LiveRunView(Console(file=io.StringIO(), force_terminal=True, width=100))
    with view:
        for event in running():
            view(event)  # type: ignore[arg-type]
    words = [(line.name, line.word, line.seconds) for line in view.lines()]
    assert words == [("load", "done", 2.5), ("train", "failed", 1.0)]


def test_results(capfd: pytest.CaptureFixture[str]) -> None:
    show_results(
        {
            "Error (minutes)": 11.123456,
            "Report": "one\ntwo\n",
            "Answers": [{"flight": "UA 1", "late": 3.0}, {"flight": "B6 2", "late": None}],
            "Deployment": {"name": "flights-delay", "ready": True},
        }
    )
    shown = capfd.readouterr().out
    assert "Error (minutes)  11.12" in shown
    assert "Report\n  one\n  two\n" in shown
    assert "  flight  late\n  UA 1    3\n  B6 2\n" in shown
    assert "  name   flights-delay\n  ready  yes\n" in shown
