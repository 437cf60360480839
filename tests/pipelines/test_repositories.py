"""Pipelines read versions of files and write commits, and both say exactly which."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.repository import Repository

from .conftest import Project

FLOW = """
    name: sums
    parameters: {branch: {type: string, default: main}}
    steps:
      add:
        call: steps:add
        inputs: {data: "lake://flights@${parameters.branch}/raw/x.csv"}
        outputs: {total: {type: table, path: "lake://flights@results/sums.csv"}}
      note:
        call: steps:note
        inputs: {total: "${add.total}"}
"""
STEPS = """
    import pandas as pd
    from millpond import lake

    def add(data: pd.DataFrame):
        return pd.DataFrame({"total": [int(data["x"].sum())]})

    def note(total: pd.DataFrame):
        with lake.repo("flights").commit("a note", "results") as change:
            change.write("note.txt", f"total {total['total'][0]}")
"""


@pytest.fixture
def repo(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    project.environment["MILLPOND_CACHE_DIR"] = str(tmp_path / "cache")
    made = places.create("flights", {"MILLPOND_LAKE_ROOT": str(project.lake)})
    with made.commit("raw") as change:
        change.write("raw/x.csv", "x\n1\n2\n")
    made.branch("results")
    return made


@pytest.mark.slow
def test_runs_go_from_commit_to_commit(project: Project, repo: Repository) -> None:
    project.write(FLOW, STEPS)
    record = project.run()
    assert record.status == "succeeded", record.error
    raw = repo.at("main").id
    add = record.steps["add"]
    assert add.inputs["data"].uri == f"lake://flights@{raw}/raw/x.csv"
    assert repo.read("sums.csv", "results") == b"total\n3\n"
    assert repo.read("note.txt", "results") == b"total 3"
    wrote = repo.at("results~1")
    assert add.outputs["total"].uri == f"lake://flights@{wrote.id}/sums.csv"
    assert wrote.provenance["run"] == record.id
    assert (wrote.provenance["step"], wrote.provenance["pipeline"]) == ("add", "sums")
    assert wrote.provenance["inputs"]["data"]["version"] == raw
    assert wrote.provenance["parameters"] == {"branch": "main"}
    assert wrote.provenance["code"]["digest"] == add.code
    noted = repo.at("results")
    assert noted.provenance["step"] == "note"
    assert noted.provenance["inputs"]["total"]["uri"] == f"lake://flights@{wrote.id}/sums.csv"

    again = project.run()
    assert again.steps["add"].status == "cached"
    with repo.commit("another file") as change:
        change.write("other", "1")
    assert project.run().steps["add"].status == "cached", "the same bytes in a later commit"
    with repo.commit("more") as change:
        change.write("raw/x.csv", "x\n1\n2\n3\n")
    assert project.run().steps["add"].status == "done"
    assert repo.read("sums.csv", "results") == b"total\n6\n"


def test_a_wrong_branch_is_told(project: Project, repo: Repository) -> None:
    project.write(FLOW, STEPS)
    record = project.run({"branch": "mian"})
    error = record.steps["add"].error
    assert error is not None
    assert "flights has no branch, tag or commit mian" in error["message"]
