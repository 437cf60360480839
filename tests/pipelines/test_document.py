"""What is wrong in a pipeline file is told with its place and the word that would have been right."""

from __future__ import annotations

import textwrap
import tomllib
from pathlib import Path

import pytest

from millpond.model.errors import DocumentError, DocumentErrors, MillpondError
from millpond.pipelines.document import Pipeline, read_pipeline, seconds
from millpond.pipelines.extension import BUILTIN
from millpond.pipelines.graph import needs, order

STEPS = """
from millpond.pipelines.context import StepContext

def load(n=1): return n
def clean(data, context: StepContext, depth): return data
"""
GOOD = """
name: flights
parameters:
  date: {type: date, default: today}
  depth: {type: integer, default: 3, minimum: 1}
steps:
  load:
    call: steps:load
    outputs: {data: {type: table, path: "raw/${parameters.date.year}/${parameters.date}.parquet"}}
  clean:
    call: steps:clean
    inputs: {data: "${load.data}"}
    with: {depth: "${parameters.depth}"}
    outputs: {clean: {type: number}}
    retry_delay: 500ms
    timeout: 10m
results: {Clean: "${clean.clean}"}
"""


def written(folder: Path, text: str, steps: str = STEPS) -> Path:
    (folder / "pipeline.yaml").write_text(textwrap.dedent(text))
    (folder / "steps.py").write_text(steps)
    return folder


def read(folder: Path, text: str, steps: str = STEPS) -> Pipeline:
    return read_pipeline(written(folder, text, steps))


def test_a_good_pipeline_is_read_with_its_order_and_durations(tmp_path: Path) -> None:
    pipeline = read(tmp_path, GOOD)
    assert order(needs(pipeline.steps)) == ["load", "clean"]
    assert pipeline.steps["clean"].timeout == 600
    assert pipeline.steps["clean"].retry_delay == 0.5
    assert pipeline.folder == tmp_path


@pytest.mark.parametrize(
    ("old", "new", "message", "hint", "line"),
    [
        ("timeout:", "timeuot:", "unknown key timeuot", "did you mean timeout?", 16),
        ("call: steps:clean", "cal: steps:clean", "unknown key cal", "did you mean call?", 11),
        ("type: number", "type: numbr", "numbr", "did you mean number?", 14),
        ("type: number", "typ: number", "unknown key typ", "did you mean type?", 14),
        ("${load.data}", "${laod.data}", "there is no step laod", "did you mean load?", 12),
        ("${load.data}", "${load.dat}", "load has no output dat", "did you mean data?", 12),
        ("${parameters.depth}", "${parameters.deph}", "no parameter deph", "did you mean depth?", 13),
        ("${parameters.depth}", "${load.data}", "cannot stand here", "name it under inputs", 13),
        ("date.year", "date.yaer", "has no part yaer", "a date has year", 9),
        ("steps:clean", "steps:claen", "steps.py has no function claen", "did you mean clean?", 11),
        ("inputs: {data:", "inputs: {dta:", "clean() has no argument dta", "did you mean data?", 12),
        ('depth: "${', 'width: "${', "clean() has no argument width", None, 13),
        ("use: python", "use: pyhton", "no kind of step named pyhton", "did you mean python?", 11),
        ("raw/${parameters.date.year}", "${parameters.date.year}/..", "not a path of the lake", "bucket/", 9),
        ('${clean.clean}"}\n', '${clean.cleen}"}\n', "clean has no output cleen", "did you mean clean?", 17),
        ("default: 3,", "default: 0,", "must be at least 1", None, 5),
        (".parquet", ".xlsx", "a table is written as .parquet or .csv", None, 9),
        ("500ms", "soon", "must be a duration", None, 15),
        ("type: date", "type: dat", "dat", "did you mean date?", 4),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, message: str, hint: str | None, line: int
) -> None:
    text = (
        GOOD.replace("    call: steps:clean", "    call: steps:clean\n    use: python")
        if "use" in old
        else GOOD
    )
    assert old in text
    folder = written(tmp_path, text.replace(old, new))
    with pytest.raises(DocumentError) as caught:
        read_pipeline(folder, strict=True)
    errors = caught.value.errors if isinstance(caught.value, DocumentErrors) else [caught.value]
    found = [error for error in errors if message in error.message]
    assert found, [error.message for error in errors]
    where = found[0].place
    shift = 1 if "use" in old else 0
    assert (where.line, where.source) == (line + shift, str(folder / "pipeline.yaml"))
    if hint:
        assert hint in (found[0].hint or "")


def test_steps_that_need_each_other_are_told_as_a_ring(tmp_path: Path) -> None:
    text = GOOD.replace("    call: steps:load", "    call: steps:load\n    after: [clean]")
    with pytest.raises(DocumentError, match=r"in a ring: load -> clean -> load"):
        read(tmp_path, text)


def test_two_steps_cannot_write_one_path(tmp_path: Path) -> None:
    text = GOOD.replace(
        "{type: number}", '{type: table, path: "raw/${parameters.date.year}/${parameters.date}.parquet"}'
    )
    with pytest.raises(DocumentError, match=r"load\.data writes raw/.* as well"):
        read(tmp_path, text)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("${load.data}", "${laod.data}").replace("steps:load", "steps:laod")
    with pytest.raises(DocumentErrors) as caught:
        read(tmp_path, text)
    assert [error.place.line for error in caught.value.errors] == [8, 12]


def test_a_kind_that_is_only_installed_elsewhere_is_left_to_the_runner(tmp_path: Path) -> None:
    folder = written(tmp_path, GOOD.replace("call: steps:load", "use: elsewhere\n    colour: blue"))
    assert read_pipeline(folder).steps["load"].keys == {"colour": "blue"}
    with pytest.raises(DocumentError, match="no kind of step named elsewhere"):
        read_pipeline(folder, strict=True)


def test_python_that_does_not_parse_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DocumentErrors, match=r"steps\.py:2: "):
        read(tmp_path, GOOD, "def load(): pass\ndef clean(:\n")


def test_no_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(MillpondError, match="there is no pipeline at"):
        read_pipeline(tmp_path / "nowhere")


def test_durations() -> None:
    assert [seconds(text) for text in ("500ms", "1.5s", "10m", "2h", 3)] == [0.5, 1.5, 600, 7200, 3]
    with pytest.raises(ValueError, match="duration"):
        seconds("10 minutes")


def test_the_built_in_names_are_those_of_the_package() -> None:
    # Workers may have Millpond as a folder without metadata, so the table is kept in the code as well.
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    points = declared["project"]["entry-points"]
    assert {group: points[group] for group in BUILTIN} == BUILTIN
