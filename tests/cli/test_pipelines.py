"""Pipeline files on the command line: their schema for editors, their picture, their backfill."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml
from click.testing import CliRunner, Result

from millpond.cli.root import root
from millpond.cli.session import Session
from starter import EXAMPLES, Starter

FLOW = """\
name: days
parameters:
  day: {type: date, help: Which day}
  place: {type: string, default: here, choices: [here, there], help: Where}
steps:
  base:
    call: days:base
    outputs: {rows: {type: number}}
  sum:
    call: days:sum_of
    inputs: {rows: "${base.rows}"}
    with: {day: "${parameters.day}"}
    outputs: {total: {type: number}}
results: {total: "${sum.total}"}
"""
STEPS = """\
def base():
    return 40

def sum_of(rows, day):
    if day.day == 3:
        raise ValueError("nothing was measured on the third")
    return rows + day.day
"""


def _call(*words: str) -> Result:
    return CliRunner().invoke(root, ["pipeline", *words], obj=Session())


def _documents() -> list[Any]:
    """The pipelines that users see: those of the examples, and those of the guides."""
    found = [pytest.param(path.read_text(), id=path.parent.name) for path in EXAMPLES.glob("*/pipeline.yaml")]
    for page in sorted((EXAMPLES.parent / "docs").rglob("*.md")):
        blocks = re.findall(r"^```yaml pipeline\n(.*?)^```", page.read_text(), re.M | re.S)
        found += [pytest.param(text, id=f"{page.stem}-{number}") for number, text in enumerate(blocks)]
    return found


@pytest.fixture(scope="module")
def schema() -> jsonschema.Draft202012Validator:
    """The schema as the command prints it."""
    found = json.loads(_call("schema").stdout)
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize("text", _documents())
def test_the_schema_takes_what_runs(schema: jsonschema.Draft202012Validator, text: str) -> None:
    schema.validate(yaml.safe_load(text))


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ("steps: {one: {call: a:b, retrys: 2}}", ["steps", "one"]),
        ("steps: {one: {use: sql, querry: select 1}}", ["steps", "one"]),
        ("steps: {one: {use: sql, query: select 1, retries: many}}", ["steps", "one", "retries"]),
        ("steps: {one: {call: a:b, outputs: {x: {type: tabel}}}}", ["steps", "one", "outputs", "x", "type"]),
        ("steps: {one: {call: a:b}}\nschedule: {corn: 0 5 * * *}", ["schedule"]),
    ],
)
def test_the_schema_shows_where_a_mistake_is(
    schema: jsonschema.Draft202012Validator, wrong: str, place: list[str], tmp_path: Path
) -> None:
    text = f"name: wrong\n{wrong}\n"
    (error, *_) = sorted(
        schema.iter_errors(yaml.safe_load(text)), key=lambda found: -len(found.absolute_path)
    )
    assert list(error.absolute_path)[: len(place)] == place or place[: len(error.absolute_path)] == list(
        error.absolute_path
    )
    # What the editor underlines is refused by the command, too.
    (tmp_path / "pipeline.yaml").write_text(text)
    assert _call("check", str(tmp_path)).exit_code != 0


def test_the_picture_has_every_step_and_what_it_hands_on(tmp_path: Path) -> None:
    example = str(EXAMPLES / "waiting-times")
    data = json.loads(_call("graph", example, "--format", "json").stdout)
    names = {node["name"] for node in data["nodes"]}
    assert names == set(yaml.safe_load((EXAMPLES / "waiting-times/pipeline.yaml").read_text())["steps"])
    assert any((edge["from"], edge["to"]) == ("fix_missing_values", "train") for edge in data["edges"])
    drawn = _call("graph", example).stdout
    assert drawn.startswith("flowchart") and all(name in drawn for name in names)
    assert _call("graph", example, "--format", "svg", "-o", str(tmp_path / "graph.svg")).exit_code == 0
    picture = "".join(ElementTree.parse(tmp_path / "graph.svg").getroot().itertext())
    assert all(name in picture for name in names)


def test_a_kind_that_is_not_there_may_come_later_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text("name: later\nsteps: {one: {use: sqk, query: select 1}}\n")
    told = _call("check", str(tmp_path))
    assert told.exit_code == 0 and told.stdout == "later is well: 1 step, 0 parameters\n"
    assert "not installed here: use: sqk" in told.stderr
    refused = _call("check", str(tmp_path), "--strict")
    assert refused.exit_code != 0 and "did you mean sql?" in str(getattr(refused.exception, "hint", ""))


@pytest.mark.slow
def test_a_backfill_runs_each_day_stops_at_a_failure_and_goes_on(starter: Starter) -> None:
    folder = starter.project / "days"
    folder.mkdir()
    (folder / "pipeline.yaml").write_text(FLOW)
    (folder / "days.py").write_text(STEPS)

    def backfill(*more: str) -> tuple[int, list[list[str]]]:
        words = ("pipeline", "backfill", "days", "--parameter", "day", *more)
        found = starter.millpond(*words, check=False)
        lines = [line.split() for line in found.stdout.splitlines() if line.startswith("2026-")]
        return found.returncode, [[line[0], line[2]] for line in lines]

    month = ("--from", "2026-01-02", "--to", "2026-01-04")
    code, days = backfill(*month)
    assert code != 0
    assert days == [["2026-01-02", "succeeded"], ["2026-01-03", "failed"]]
    code, days = backfill(*month, "--keep-going")
    assert code != 0
    assert [day[1] for day in days] == ["succeeded", "failed", "succeeded"]
    last = starter.json("runs", "show", "last", "--json")
    assert last["results"] == {"total": 44} and last["parameters"]["day"] == "2026-01-04"
    # What the days share was computed once.
    assert last["steps"]["base"]["status"] == "cached"
    weekly, days = backfill("--from", "2026-01-05", "--to", "2026-01-20", "--by", "week")
    assert weekly == 0 and [day[0] for day in days] == ["2026-01-05", "2026-01-12", "2026-01-19"]
    wrong = starter.millpond(
        *("pipeline", "backfill", "days", "--parameter", "place", "-p", "day=2026-01-05"),
        *("--values", "here,nowhere"),
        check=False,
    )
    assert wrong.returncode and "nowhere" in wrong.stderr and "place=here" not in wrong.stderr
