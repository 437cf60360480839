"""Which revision answered a prediction, from the prediction log in the lake."""

from __future__ import annotations

from millpond.lake.lineage.graph import Graph
from millpond.lake.lineage.runs import revision_id
from millpond.lake.reference import LakePath
from millpond.lake.store import Store

BUCKET = "predictions"
_ASKED = "org.kubeflow.serving.inference."
_COLUMNS = ["id", "type", "time", "namespace", "inferenceservicename", "revision", "shadow"]


def add_prediction(graph: Graph, store: Store, prediction: str, bucket: str = BUCKET) -> str | None:
    """Add a prediction by its id, looked for from the newest file of the log back; None if there is none."""
    from pyarrow import BufferReader, compute, parquet

    for key in sorted(store.list(bucket), reverse=True):
        if not key.endswith(".parquet"):
            continue
        data = store.read(LakePath(bucket, key))
        # read_table reads ahead in threads, which kill a process that ends before they do.
        table = parquet.ParquetFile(BufferReader(data)).read(columns=_COLUMNS)
        rows = table.filter(compute.equal(table["id"], prediction)).to_pylist()
        # A shadow was asked the same, and feedback has the same id; the answer came from neither.
        rows = [row for row in rows if str(row["type"]).startswith(_ASKED) and not row["shadow"]]
        if not rows:
            continue
        row = rows[0]
        name = f"prediction/{prediction}"
        revision = revision_id(str(row["namespace"]), str(row["revision"]))
        graph.add(name, "prediction", time=str(row["time"]), deployment=row["inferenceservicename"])
        graph.add(revision, "deployment", deployment=row["inferenceservicename"])
        graph.made(name, revision)
        return name
    return None
