"""What the serving controller says of its deployments: which model each of their revisions serves.

So a revision that a command made is known as well as one that a pipeline's step made. Deployments come as the
documents that they are, KServe's with a status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from millpond.lake.lineage.graph import Graph
from millpond.lake.lineage.runs import revision_id

_MODELS, _RUNS = "models:/", "runs:/"


def add_revisions(graph: Graph, deployments: Iterable[Mapping[str, Any]]) -> None:
    """Add the revisions that are kept, and lead each to its model; add runs first, which know models."""
    for found in deployments:
        name = found["metadata"]["name"]
        namespace = found["metadata"].get("namespace", "default")
        status = found.get("status") or {}
        for revision in status.get("revisions", ()):
            made = revision_id(namespace, revision["name"])
            facts = {"url": status.get("url"), "time": revision.get("created")}
            graph.add(made, "deployment", deployment=name, **facts)
            graph.made(made, _model(graph, revision))


def _model(graph: Graph, revision: Mapping[str, Any]) -> str:
    uri, run = str(revision["storageUri"]), revision.get("runId")
    if uri.startswith(_RUNS):
        run = run or uri.removeprefix(_RUNS).partition("/")[0]
    name, version = _registered(uri, revision.get("modelVersion"))
    model = f"{_MODELS}{name}/{version}" if version else uri
    known = graph.nodes.get(model)
    graph.add(model, "model", mlflow_run=run, name=name, version=version)
    # One that was registered outside of a pipeline was made by the step that logged to its run.
    if known is None and run:
        for node in list(graph.nodes.values()):
            if node.kind == "model" and node.id != model and node.facts.get("mlflow_run") == run:
                for maker in graph.causes.get(node.id, []):
                    graph.made(model, maker)
    return model


def _registered(uri: str, version: object) -> tuple[str | None, str | None]:
    """The name and version of a registered model; an alias stands for the version that it had then.

    >>> _registered("models:/flights@champion", "3")
    ('flights', '3')
    """
    name, _, rest = uri.removeprefix(_MODELS).partition("/")
    name = name.partition("@")[0]
    if not uri.startswith(_MODELS) or name.startswith("m-"):
        return None, None
    found = str(version or rest)
    return (name, found) if found else (None, None)
