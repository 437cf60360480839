"""Steps as OpenLineage run events (https://openlineage.io/spec/2-0-2/OpenLineage.json), for catalogues."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from millpond.lake.lineage.graph import Graph, Node
from millpond.lake.reference import LakePath

_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
_FACETS = "https://openlineage.io/spec/facets/1-0-1"
_PRODUCER = "https://millpond.dev"
_NAMES = uuid.UUID("6f0d3a0e-3c1f-5d6b-9a55-0b8d6a5f7a11")


def events(graph: Graph, steps: Iterable[Node]) -> Iterator[dict[str, Any]]:
    """A COMPLETE event for each step, with the data and models that it read and made."""
    for step in steps:
        if step.kind != "step" or step.facts.get("cached"):
            continue
        facts = step.facts
        job = {"namespace": "millpond", "name": f"{facts.get('pipeline', '')}.{facts.get('step')}"}
        origin = {
            name: facts[name] for name in ("code", "parameters", "environment", "user") if name in facts
        }
        run: dict[str, Any] = {
            "runId": str(uuid.uuid5(_NAMES, step.id)),
            "facets": {
                "parent": {
                    **_facet("ParentRunFacet"),
                    "run": {"runId": str(uuid.uuid5(_NAMES, str(facts.get("run"))))},
                    "job": {"namespace": "millpond", "name": str(facts.get("pipeline", ""))},
                },
                # No facet of the standard's takes parameters, or code without the address of its repository.
                "millpond_origin": {
                    "_producer": _PRODUCER,
                    "_schemaURL": f"{_SPEC}#/$defs/RunFacet",
                    "run": facts.get("run"),
                    **origin,
                },
            },
        }
        yield {
            "eventType": "COMPLETE",
            "eventTime": facts.get("time") or "1970-01-01T00:00:00+00:00",
            "producer": _PRODUCER,
            "schemaURL": f"{_SPEC}#/$defs/RunEvent",
            "run": run,
            "job": job,
            "inputs": [found for cause in graph.causes.get(step.id, []) if (found := _dataset(graph, cause))],
            "outputs": list(_outputs(graph, step.id)),
        }


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
        found["facets"] = {"version": {**_facet("DatasetVersionDatasetFacet"), "datasetVersion": version}}
    return found


def _facet(name: str) -> dict[str, str]:
    return {"_producer": _PRODUCER, "_schemaURL": f"{_FACETS}/{name}.json#/$defs/{name}"}
