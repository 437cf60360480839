"""A prediction leads to the revision that answered it, in the log as the monitor writes it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[3] / "src"
SCRIPT = """
import io
from pathlib import Path
from pyarrow import parquet
from millpond.lake.lineage.graph import Graph
from millpond.lake.lineage.predictions import add_prediction
from millpond.lake.reference import LakePath
from millpond.lake.store import open_store
from millpond.serving.monitor.events import SCHEMA
import pyarrow

def row(id, revision, kind="org.kubeflow.serving.inference.request", shadow=False):
    return {"id": id, "type": kind, "namespace": "default", "inferenceservicename": "flights",
            "revision": revision, "shadow": shadow}

rows = [row("p1", "flights-00001", "dev.millpond.serving.feedback"), row("p1", "flights-00009", shadow=True),
        row("p1", "flights-00002"), row("p2", "flights-00003")]
made = io.BytesIO()
parquet.write_table(pyarrow.Table.from_pylist(rows, schema=SCHEMA), made)
store = open_store()
store.put(LakePath("predictions", "default/flights/date=2026-11-24/a-1.parquet"), made.getvalue())
graph = Graph()
assert add_prediction(graph, store, "p1") == "prediction/p1"
assert graph.causes["prediction/p1"] == ["default/flights-00002"]
assert add_prediction(graph, store, "p3") is None
"""


@pytest.mark.slow
def test_a_prediction_comes_from_the_revision_that_answered(science_python: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(SOURCE), "MILLPOND_LAKE_ROOT": str(tmp_path)}
    found = subprocess.run([str(science_python), "-c", SCRIPT], env=env, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
