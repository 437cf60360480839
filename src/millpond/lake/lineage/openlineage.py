"""Steps as OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json), for catalogues."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from millpond.lake.lineage.graph import Graph, Node
from millpond.lake.reference import LakePath

_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
_FACETS = {
    "DatasetVersionDatasetFacet": "1-0-1",
    "ExecutionParametersRunFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "ParentRunFacet": "1-2-0",
}
_PRODUCER = "https://millpond.dev"
_NAMESPACE = "millpond"
_NAMES = uuid.UUID("6f0d3a0e-3c1f-5d6b-9a55-0b8d6a5f7a11")
_NO_TIME = "1970-01-01T00:00:00+00:00"


def events(graph: Graph, steps: Iterable[Node]) -> Iterator[dict[str, Any]]:
    """Two events for each step, as the standard wants them: START, and COMPLETE with the data and models
    that it read and made."""
    for step in steps:
        if step.kind != "step" or step.facts.get("cached"):
            continue
        facts = step.facts
        name = f"{facts.get('pipeline', '')}.{facts.get('step')}"
        kind = {"processingType": "BATCH", "integration": "MILLPOND", "jobType": "STEP"}
        facet = _facet("JobTypeJobFacet", **kind)
        job = {"namespace": _NAMESPACE, "name": name, "facets": {"jobType": facet}}
        run = {"runId": str(uuid.uuid5(_NAMES, step.id)), "facets": _run_facets(facts)}
        shared = {"producer": _PRODUCER, "schemaURL": f"{_SPEC}#/$defs/RunEvent", "run": run, "job": job}
        begun = facts.get("time") or _NO_TIME
        yield {"eventType": "START", "eventTime": begun, **shared, "inputs": [], "outputs": []}
        causes = graph.causes.get(step.id, [])
        yield {
            "eventType": "COMPLETE",
            "eventTime": facts.get("ended") or begun,
            **shared,
            "inputs": [found for cause in causes if (found := _dataset(graph, cause))],
            "outputs": list(_outputs(graph, step.id)),
        }


def _run_facets(facts: Mapping[str, Any]) -> dict[str, Any]:
    parent = {
        "run": {"runId": str(uuid.uuid5(_NAMES, str(facts.get("run"))))},
        "job": {"namespace": _NAMESPACE, "name": str(facts.get("pipeline", ""))},
    }
    # The standard's facet of code wants the address of its repository, which nobody may have told us.
    origin = {name: facts[name] for name in ("run", "code", "environment", "user") if name in facts}
    found: dict[str, Any] = {
        "parent": _facet("ParentRunFacet", **parent),
        "millpond_origin": {"_producer": _PRODUCER, "_schemaURL": f"{_SPEC}#/$defs/RunFacet", **origin},
    }
    if parameters := facts.get("parameters"):
        listed = [{"key": key, "value": _text(value)} for key, value in parameters.items()]
        found["executionParameters"] = _facet("ExecutionParametersRunFacet", parameters=listed)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _outputs(graph: Graph, step: str) -> Iterator[dict[str, Any]]:
    for effect in graph.effects.get(step, []):
        # A file in a repository stands behind the commit that the step made.
        below = graph.effects.get(effect, []) if graph.nodes[effect].kind == "commit" else [effect]
        for name in below:
            if found := _dataset(graph, name):
                yield found


def _dataset(graph: Graph, name: str) -> dict[str, Any] | None:
    node = graph.nodes[name]
    if node.kind == "model":
        return {"namespace": "mlflow", "name": node.id.removeprefix("models:/")}
    if node.kind != "data":
        return None
    path = LakePath.parse(str(node.facts["uri"]))
    place = f"lake://{path.repository}" if path.versioned else f"s3://{path.bucket}"
    found: dict[str, Any] = {"namespace": place, "name": path.key}
    if version := node.facts.get("version"):
        found["facets"] = {"version": _facet("DatasetVersionDatasetFacet", datasetVersion=version)}
    return found


def _facet(name: str, **content: Any) -> dict[str, Any]:
    address = f"https://openlineage.io/spec/facets/{_FACETS[name]}/{name}.json#/$defs/{name}"
    return {"_producer": _PRODUCER, "_schemaURL": address, **content}
