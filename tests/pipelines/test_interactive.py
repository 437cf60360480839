"""Pipelines and the lake from a notebook in which nothing is configured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import millpond
from millpond.pipelines.interactive import Environment

from .conftest import SOURCE, Project
from .test_kinds import notebook


@pytest.mark.slow
def test_a_notebook_runs_a_pipeline_and_looks_at_what_came_of_it(project: Project) -> None:
    project.write(
        """
        name: readings
        parameters: {count: {type: integer, default: 3}}
        steps:
          make:
            call: steps:make
            with: {count: "${parameters.count}"}
            outputs: {table: {type: table, path: "raw/readings/t.parquet"}, sum: {type: number}}
        results: {Sum: "${make.sum}"}
        """,
        """
        import pandas as pd

        def make(count):
            if count < 0:
                raise ValueError("there are no fewer than none")
            return {"table": pd.DataFrame({"x": range(count)}), "sum": sum(range(count))}
        """,
    )
    book = project.folder / "look.ipynb"
    book.write_text(
        notebook(
            "from millpond import env, lake, run",
            "found = run('flow', count=4)\nprint(found)\nprint('rows', len(found['make.table']))",
            "print(found.outputs['make.table'].uri, env['MILLPOND_LAKE_ROOT'] != '')",
            "try:\n    run('flow', count=-1, quiet=True)\nexcept Exception as error:\n    print(error)",
        )
    )
    (project.folder / ".millpond").mkdir()
    executed = project.folder / "executed.ipynb"
    argv = [str(project.cluster.python), "-m", "papermill", str(book), str(executed)]
    argv += ["--kernel", "python3", "--language", "python", "--cwd", str(project.folder), "--no-progress-bar"]
    environment = {**project.env(), "IPYTHONDIR": str(project.folder / ".ipython")}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads(executed.read_bytes())["cells"]
    printed = ["".join(o["text"]) for c in cells for o in c["outputs"] if o.get("name") == "stdout"]
    text = "\n".join(printed)
    assert "readings succeeded after" in text
    assert "  Sum: 6" in text
    assert "rows 4" in text
    assert "s3://raw/readings/t.parquet True" in text
    assert "the step make failed: there are no fewer than none" in text
    assert len(list(project.folder.joinpath(".millpond/runs").glob("2*"))) == 2


def test_the_nearest_platform_is_found_and_its_values_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from millpond.pipelines.interactive import project

    for name in ("MILLPOND_PROJECT", "AWS_ENDPOINT_URL", "MILLPOND_LAKE_ROOT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".millpond").mkdir()
    monkeypatch.chdir(tmp_path / "deep" / "er")
    assert project() == tmp_path
    monkeypatch.setenv("MILLPOND_LAKE_ROOT", "/a/secret/place")
    env = Environment()
    assert env["MILLPOND_LAKE_ROOT"] == "/a/secret/place"
    assert "secret" not in repr(env)


def test_the_command_does_not_wait_for_what_notebooks_import() -> None:
    code = (
        "import sys, millpond.cli.root; print([n for n in sys.modules if 'interactive' in n or 'lake' in n])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]"
    assert {"env", "lake", "run", "sql"} <= set(dir(millpond))
