"""A platform on a cluster and a pipeline with all that can be exported."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from millpond.cli.root import root

FLAVOUR = """\
name: lab
target: kubernetes
components: [gateway, seaweedfs, mlflow, dask]
"""
PIPELINE = """\
name: numbers
summary: Numbers, some of them twice
parameters:
  start: {type: integer, default: 3, minimum: 0, help: The first number}
  many: {type: list, default: [1, 2]}
  size: {type: string, default: small, choices: [small, large]}
  mark: {type: string, default: /nowhere, help: A file that says that a step was tried before}
  loud: {type: boolean, default: false}
schedule: {cron: "15 5 * * *", timezone: Europe/Brussels, parameters: {start: 9}}
steps:
  first_one:
    call: steps:first
    with: {start: "${parameters.start}", many: "${parameters.many}", loud: "${parameters.loud}"}
    outputs: {number: {type: number}}
  twice:
    call: steps:twice
    inputs: {number: "${first_one.number}"}
    with: {mark: "${parameters.mark}"}
    outputs: {number: {type: number}}
    retries: 2
    retry_delay: 2s
    timeout: 1m
    resources: {memory: 1Gi, cpus: 1}
  fan:
    each: {n: "${parameters.many}"}
    call: steps:add
    inputs: {number: "${first_one.number}"}
    with: {n: "${each.n}"}
    outputs: {sum: {type: number}}
    timeout: 1m
  never:
    call: steps:never
    when: "${first_one.number} > 1000"
    outputs: {number: {type: number}}
  table:
    call: steps:table
    inputs: {one: "${twice.number}", sums: "${fan.sum}"}
    outputs: {rows: {type: table, path: results/rows.parquet}, total: {type: number}}
results: {total: "${table.total}"}
"""
STEPS = """\
import pathlib

def first(start, many, loud):
    assert isinstance(many, list) and loud is False
    print("the first is", start)
    return start

def twice(number, mark):
    path = pathlib.Path(mark)
    if not path.exists():
        path.write_text("tried")
        raise RuntimeError("not the first time")
    return 2 * number

def add(number, n):
    return number + n

def never():
    raise RuntimeError("it was not to run")

def table(one, sums):
    import pandas

    rows = pandas.DataFrame({"sum": [one, *sums]})
    return {"rows": rows, "total": int(rows["sum"].sum())}
"""


def write(folder: Path, flavour: str = FLAVOUR, pipeline: str = PIPELINE) -> Path:
    """A project with a flavour and a pipeline; gives the pipeline's folder."""
    (folder / "flow").mkdir(parents=True, exist_ok=True)
    (folder / "millpond.yaml").write_text(flavour)
    (folder / "flow/pipeline.yaml").write_text(pipeline)
    (folder / "flow/steps.py").write_text(textwrap.dedent(STEPS))
    return folder / "flow"


def export(folder: Path, *words: str) -> list[dict[str, Any]]:
    """What `millpond pipeline export` prints, or wrote to the file after ``-o``."""
    done = CliRunner().invoke(root, ["-C", str(folder), "pipeline", "export", "flow", *words])
    assert done.exit_code == 0, done.output
    text = (folder / words[words.index("-o") + 1]).read_text() if "-o" in words else done.stdout
    return list(yaml.safe_load_all(text))


@pytest.fixture
def argo(tmp_path: Path) -> list[dict[str, Any]]:
    """The pipeline, exported for Argo Workflows."""
    write(tmp_path)
    return export(tmp_path, "--to", "argo")
