"""Every example is a folder that stands on its own, whose pipeline reads clean."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from millpond.pipelines.document import read_pipeline
from starter import EXAMPLES

FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/pipeline.yaml"))
every_example = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_there_are_the_three_demos() -> None:
    assert [folder.name for folder in FOLDERS] == ["credit", "flights", "waiting-times"]


@every_example
def test_the_pipeline_reads_clean(folder: Path) -> None:
    """The checker looks at functions and arguments too."""
    pipeline = read_pipeline(folder)
    assert pipeline.name == folder.name and pipeline.summary and pipeline.results
    assert pipeline.parameters["date"].type == "date"


@every_example
def test_every_path_of_the_lake_carries_the_date(folder: Path) -> None:
    for step in read_pipeline(folder).steps.values():
        for output in step.outputs.values():
            if path := output.keys.get("path"):
                parts = ("year", "month", "day")
                assert "/".join(f"${{parameters.date.{part}}}" for part in parts) in path


@every_example
def test_the_page_says_how_to_run_and_ask_it(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert f"millpond demo {folder.name}" in text
    assert "-H 'Host: " in text and "-d @request.json" in text
    for name in re.findall(r"`([\w-]+\.(?:py|json|yaml))`", text):
        assert (folder / name).is_file(), name


@every_example
def test_the_champion_is_named_anew_by_every_run(folder: Path) -> None:
    """Another run may have moved the alias since; steps without outputs run always."""
    promote = read_pipeline(folder).steps["promote"]
    assert promote.cache is False or not promote.outputs


@every_example
def test_requests_are_json_with_one_row(folder: Path) -> None:
    for path in [*folder.glob("request*.json"), *folder.glob("testdata.json")]:
        body = json.loads(path.read_text(encoding="utf-8"))
        assert all(column["shape"] == [1] and len(column["data"]) == 1 for column in body["inputs"])
