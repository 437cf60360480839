"""Conditions, fan-out and forks: what a file can say about which tasks there are and where values go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millpond.model.errors import MillpondError
from millpond.pipelines.condition import Condition
from millpond.pipelines.document import read_pipeline
from millpond.pipelines.fanout import dates

from .conftest import Project

STEPS = """
import pandas as pd

def make(month): return pd.DataFrame({"month": [month], "rows": [month * 10]})
def rows(table): return int(table["rows"].sum())
def total(tables, counts): return {"sum": sum(counts), "months": [int(t["month"][0]) for t in tables]}
def shout(word): return word.upper()
def several(words): return " ".join(words)
"""


@pytest.mark.slow
def test_a_step_runs_once_per_item_and_its_outputs_are_gathered(project: Project) -> None:
    project.write(
        """
        name: fan
        parameters: {months: {type: list, default: [1, 2, 3]}}
        steps:
          make:
            each: {month: "${parameters.months}"}
            call: steps:make
            with: {month: "${each.month}"}
            outputs: {table: {type: table, path: "raw/fan/${each.month}.parquet"}}
          rows:
            each: {month: "${parameters.months}"}
            call: steps:rows
            inputs: {table: "${make.table}"}
            outputs: {count: {type: number}}
          total:
            call: steps:total
            inputs: {tables: "${make.table}", counts: "${rows.count}"}
            outputs: {total: {type: json}}
          list:
            use: command
            run: "ls ${inputs.tables} > ${outputs.names}"
            inputs: {tables: "${make.table}"}
            outputs: {names: {type: text}}
        results: {Total: "${total.total}", Rows: "${rows.count}", Files: "${list.names}"}
        """,
        STEPS,
    )
    record = project.run()
    assert record.status == "succeeded", record.as_dict()
    assert record.steps["rows[2]"].needs == ["make[2]"], "each item takes that of its own"
    assert record.steps["total"].needs == [f"{n}[{i}]" for n in ("make", "rows") for i in (1, 2, 3)]
    assert record.results["Total"] == {"sum": 60, "months": [1, 2, 3]}
    assert record.results["Rows"] == [10, 20, 30]
    assert len(record.results["Files"].split()) == 3
    assert (project.lake / "raw/fan/2.parquet").is_file()

    wider = project.run({"months": "1,2,3,4"})
    states = project.states(wider)
    assert [states[f"make[{n}]"] for n in (1, 2, 3, 4)] == ["cached", "cached", "cached", "done"]
    assert states["total"] == "done"
    assert wider.results["Total"]["sum"] == 100
    assert project.run({"months": ""}).results["Total"] == {"sum": 0, "months": []}


@pytest.mark.slow
def test_partitions_are_dates_or_what_is_in_the_lake(project: Project) -> None:
    for name in ("a.txt", "b.txt", "deep/c.txt"):
        file = project.lake / "raw/words" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    project.write(
        """
        name: partitions
        parameters: {date: {type: date, default: 2013-03-31}}
        steps:
          day:
            each: {day: {from: 2013-01-31, to: "${parameters.date}", by: month}}
            call: steps:shout
            with: {word: "d${each.day}"}
            outputs: {word: {type: text}}
          word:
            each: {object: {objects: "raw/words/*.txt"}}
            call: steps:shout
            inputs: {word: "${each.object}"}
            outputs: {word: {type: text}}
          all: {call: "steps:several", inputs: {words: "${word.word}"}, outputs: {words: {type: text}}}
        results: {Days: "${day.word}", Words: "${all.words}"}
        """,
        STEPS,
    )
    record = project.run()
    assert record.results["Days"] == ["D2013-01-31", "D2013-02-28", "D2013-03-31"]
    assert record.results["Words"] == "A.TXT B.TXT"


@pytest.mark.slow
def test_a_step_whose_condition_is_false_is_left_out(project: Project) -> None:
    project.write(
        """
        name: conditions
        parameters: {least: {type: number, default: 5}, dry: {type: boolean, default: false}}
        steps:
          measure: {call: "steps:measure", outputs: {found: {type: json}}}
          good:
            when: ${measure.found.score} >= ${parameters.least} and not ${parameters.dry}
            call: steps:shout
            with: {word: good}
            outputs: {word: {type: text}}
          after_good: {call: "steps:shout", inputs: {word: "${good.word}"}, outputs: {word: {type: text}}}
          poor:
            when: ${measure.found.score} < ${parameters.least}
            call: steps:shout
            with: {word: poor}
            outputs: {word: {type: text}}
          last: {call: "steps:shout", with: {word: end}, after: [good, poor], outputs: {word: {type: text}}}
        """,
        STEPS + "\ndef measure(): return {'score': 7}\n",
    )
    record = project.run()
    assert record.status == "succeeded"
    expected = {"good": "done", "after_good": "done", "poor": "skipped", "last": "done", "measure": "done"}
    assert project.states(record) == expected
    reason = record.steps["poor"].error or {}
    assert reason["message"] == "its condition is false: ${measure.found.score} < ${parameters.least}"

    record = project.run({"least": 8})
    assert record.status == "succeeded"
    assert project.states(record)["good"] == project.states(record)["after_good"] == "skipped"
    assert project.states(record)["poor"] == "done"
    project.write((project.flow / "pipeline.yaml").read_text().replace("found.score} >=", "found.scor} >="))
    (project.flow / "steps.py").write_text(STEPS + "\ndef measure(): return {'score': 7}\n")
    record = project.run()
    assert record.status == "failed"
    assert "there is no 'scor'" in (record.steps["good"].error or {})["message"]


@pytest.mark.slow
def test_a_value_goes_to_several_sinks(project: Project) -> None:
    project.write(
        """
        name: forks
        steps:
          make:
            call: steps:make
            with: {month: 4}
            outputs:
              table:
                type: table
                path: raw/forks/table.parquet
                forks: [{sink: lake, path: shared/forks/table.csv, separator: ";"}]
        """,
        STEPS,
    )
    record = project.run()
    assert sorted(record.steps["make"].outputs) == ["table", "table+lake"]
    assert (project.lake / "shared/forks/table.csv").read_text() == "month;rows\n4;40\n"
    assert project.run().steps["make"].status == "cached"
    (project.lake / "shared/forks/table.csv").unlink()
    assert project.run().steps["make"].status == "done", "a fork that is gone is written again"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("when: ${a.x} > 3", "which no condition can look at"),
        ("when: ${a.n} > three", "three means nothing in a condition"),
        ("when: open('x')", "cannot stand in a condition"),
        ("when: ${b.n} > 1", "need each other in a ring"),
        ("when: ${parameters.nn}", "there is no parameter nn"),
        ('each: {m: "${parameters.n}"}', "is no list"),
        ("each: {m: [1, 2]}", "every item would write the same path"),
        ("with: {x: '${each.m}'}", "the step has no each.m"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "pipeline.yaml").write_text(
        f"""
name: wrong
parameters: {{n: {{type: integer, default: 1}}}}
steps:
  a:
    call: steps:f
    outputs: {{n: {{type: number}}, x: {{type: file, path: raw/a}}}}
  b:
    call: steps:g
    {lines}
    outputs: {{n: {{type: number, path: raw/n.json}}}}
"""
    )
    (tmp_path / "steps.py").write_text("def f(): pass\ndef g(x=0): pass\n")
    with pytest.raises(MillpondError, match=r"pipeline") as caught:
        read_pipeline(tmp_path)
    assert message in str(caught.value)


def test_a_schedule_and_triggers_are_checked(tmp_path: Path) -> None:
    text = """
name: clock
schedule: {cron: "%s", timezone: Europe/Amsterdam}
triggers: [{repository: readings, branch: main}]
steps: {a: {use: command, run: [true]}}
"""
    (tmp_path / "pipeline.yaml").write_text(text % "*/15 6-18 * jan-jun 1-5")
    assert read_pipeline(tmp_path).schedule is not None
    for wrong in ("0 6 * *", "0 25 * * *", "5-1 * * * *", "x * * * *", "*/0 * * * *"):
        (tmp_path / "pipeline.yaml").write_text(text % wrong)
        with pytest.raises(MillpondError, match=r"pipeline.*:3:"):
            read_pipeline(tmp_path)


def test_a_condition_compares_and_nothing_else() -> None:
    values = {"parameters.a": 3, "parameters.b": "x"}

    def holds(text: str) -> bool:
        return Condition.read(text).holds(lambda reference: values[".".join(reference.path)])

    assert holds("1 < ${parameters.a} <= 3 and ${parameters.b} in ['x', 'y']")
    assert holds("not (${parameters.a} == -3 or ${parameters.b} != 'x')")
    assert not holds("${parameters.a} > 3 or false")
    for text in ("${parameters.a}.real", "(lambda: 1)()", "__import__('os')", "1 +", "[x for x in (1,)]"):
        with pytest.raises(ValueError, match=r"condition"):
            Condition.read(text)


def test_dates_of_months_keep_within_the_month() -> None:
    import datetime

    first, last = datetime.date(2024, 1, 31), datetime.date(2025, 1, 31)
    found = [str(day) for day in dates(first, last, "month")]
    assert found[:3] == ["2024-01-31", "2024-02-29", "2024-03-31"]
    assert len(found) == 13
    assert json.dumps([str(day) for day in dates(first, last, "year")]) == '["2024-01-31", "2025-01-31"]'
