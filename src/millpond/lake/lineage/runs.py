"""What run records say: which step made what, of what, with which code and parameters.

They are read as the plain JSON that they are (``runs/ID/run.json``), so that records of other machines, and
of earlier versions, are read as well.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millpond.lake.lineage.graph import Graph
from millpond.lake.reference import VALUE

_GOOD = ("done", "cached")


def add_runs(graph: Graph, folder: Path) -> None:
    """Add all runs below a folder; a record that cannot be read is passed over."""
    for file in sorted(folder.glob("*/run.json")):
        try:
            record = json.loads(file.read_bytes())
            _add_run(graph, record)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def step_id(run: str, step: str) -> str:
    """The name of a step of a run."""
    return f"{run}/{step}"


def _time(seconds: float | None) -> str | None:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat() if seconds else None


def _add_run(graph: Graph, record: Mapping[str, Any]) -> None:
    for name, step in record["steps"].items():
        if step["status"] not in _GOOD:
            continue
        # A result that was taken from an earlier run was made there.
        own = step_id(record["id"], name)
        maker = step_id(step.get("from_run") or record["id"], name)
        started = step.get("started")
        facts = {
            "run": record["id"] if maker == own else step["from_run"],
            "step": name,
            "pipeline": record["pipeline"],
            "code": {
                "commit": record.get("commit"),
                "dirty": record.get("dirty"),
                "digest": step.get("code"),
            },
            "parameters": record.get("parameters"),
            "environment": record.get("environment", {}).get("key"),
            "user": record.get("user"),
        }
        if maker == own or maker not in graph.nodes:
            ended = started + step.get("seconds", 0) if started else None
            graph.add(maker, "step", time=_time(started), ended=_time(ended), **facts)
        if maker != own:
            graph.add(own, "step", **{**facts, "run": record["id"], "cached": True})
            graph.made(own, maker)
        for port, reference in step["inputs"].items():
            if cause := reference_node(graph, reference):
                graph.made(maker, cause)
            else:
                _by_value(graph, record, step, maker, port, reference)
        for reference in step["outputs"].values():
            effect = reference_node(graph, reference)
            # What only passes through a step, as a model through its promotion, was made before it.
            if effect and effect not in graph.causes.get(maker, []):
                graph.made(effect, maker)
            _deployment(graph, reference, maker)


def _by_value(
    graph: Graph,
    record: Mapping[str, Any],
    step: Mapping[str, Any],
    maker: str,
    port: str,
    reference: Mapping[str, Any],
) -> None:
    """A small value has no place of its own: the step that gave it stands for it."""
    for name in step.get("needs", []):
        needed = record["steps"].get(name, {})
        if any(
            output.get("sha256") == reference.get("sha256") for output in needed.get("outputs", {}).values()
        ):
            cause = step_id(needed.get("from_run") or record["id"], name)
            graph.add(cause, "step")
            graph.made(maker, cause)


def reference_node(graph: Graph, reference: Mapping[str, Any]) -> str | None:
    """The thing that a reference means: data or a model; None for other values."""
    if reference["uri"] != VALUE:
        uri = str(reference["uri"])
        digest = reference.get("sha256") or reference.get("version") or ""
        name = uri if uri.startswith("lake://") else f"{uri}#{digest[:12]}"
        facts = {key: reference.get(key) for key in ("version", "sha256", "size", "rows")}
        graph.add(name, "data", uri=uri, **facts)
        return name
    if reference.get("type") == "model":
        return _model(graph, reference["value"])
    return None


def _model(graph: Graph, value: Mapping[str, Any]) -> str:
    name = str(value["uri"])
    graph.add(
        name, "model", mlflow_run=value.get("run_id"), name=value.get("name"), version=value.get("version")
    )
    return name


def _deployment(graph: Graph, reference: Mapping[str, Any], maker: str) -> None:
    """What a deploy step gives: the revision that serves a model."""
    value = reference.get("value")
    if not (isinstance(value, dict) and value.get("revision") and isinstance(value.get("model"), dict)):
        return
    name = revision_id(str(value["namespace"]), str(value["revision"]))
    graph.add(name, "deployment", deployment=value.get("name"), url=value.get("url"))
    graph.made(name, _model(graph, value["model"]))
    graph.made(name, maker)


def revision_id(namespace: str, revision: str) -> str:
    """The name of a revision of a deployment."""
    return f"{namespace}/{revision}"
