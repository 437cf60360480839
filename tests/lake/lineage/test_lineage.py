"""From a deployment back to the bytes, from the bytes on to the deployment, and as OpenLineage events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openlineage_classes import hold

from millpond.lake.lineage.asking import meant
from millpond.lake.lineage.commits import add_commits
from millpond.lake.lineage.graph import Graph
from millpond.lake.lineage.openlineage import events
from millpond.lake.lineage.revisions import add_revisions
from millpond.lake.lineage.runs import add_runs
from millpond.lake.repository import places, provenance
from millpond.lake.repository.repository import Repository
from millpond.model.errors import MillpondError

RUN = "20261124-120000-flights-ab12"
CACHED = "20261124-130000-flights-cd34"
MODEL = {"uri": "models:/flights/1", "name": "flights", "version": "1", "run_id": "f00"}


def value(kind: str, content: object) -> dict[str, Any]:
    """A reference by value."""
    return {"uri": "value:", "type": kind, "sha256": json.dumps(content), "value": content}


def step(name: str, inputs: dict[str, Any], outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A step as a record has it."""
    plain = {
        "name": name,
        "kind": "python",
        "needs": [],
        "status": "done",
        "code": f"{name}-code",
        "started": 1.0,
        "seconds": 2.5,
    }
    return {**plain, "inputs": inputs, "outputs": outputs, "from_run": None, **more}


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Graph:
    """Two commits of raw files; a run that commits features of one, learns from them, and deploys."""
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    names = {"MILLPOND_LAKE_ROOT": str(tmp_path)}
    repo = places.create("flights", names)
    with repo.commit("as it came") as change:
        change.write("raw/x.csv", "x\n1\n")
    with repo.commit("something else") as change:
        change.write("raw/y.csv", "y\n1\n")
    raw = {"uri": f"lake://flights@{repo.at('main').id}/raw/x.csv", "version": repo.at("main").id}
    told = provenance.made_by(run=RUN, step="features", pipeline="flights", inputs={"raw": raw})
    with told, repo.commit("features") as change:
        change.write("features.csv", "f\n1\n")
    made = {"uri": f"lake://flights@{repo.at('main').id}/features.csv", "version": repo.at("main").id}
    deployed = {"name": "flights", "namespace": "default", "revision": "flights-00001", "model": MODEL}
    steps = {
        "features": step("features", {"raw": raw}, {"features": made}),
        "train": step(
            "train", {"features": made}, {"model": value("model", MODEL), "mae": value("number", 3)}
        ),
        "deploy": step("deploy", {"model": value("model", MODEL)}, {"d": value("json", deployed)}),
        "report": step("report", {"mae": value("number", 3)}, {}, needs=["train"]),
        "broken": step("broken", {"raw": raw}, {}, status="failed"),
    }
    record = {
        "pipeline": "flights",
        "commit": "c0ffee",
        "dirty": False,
        "parameters": {"seed": 7},
        "environment": {"key": "e1"},
    }
    write(tmp_path, {"id": RUN, **record, "steps": steps})
    cached = {
        name: {**found, "status": "cached", "from_run": RUN}
        for name, found in steps.items()
        if name == "train"
    }
    write(tmp_path, {"id": CACHED, **record, "steps": cached})
    (tmp_path / "runs/20261124-140000-torn-0000").mkdir()
    (tmp_path / "runs/20261124-140000-torn-0000/run.json").write_text("{")
    found = Graph()
    add_runs(found, tmp_path / "runs")
    add_commits(found, ["flights"], lambda name: places.find(name, names))
    found.repo = repo  # type: ignore[attr-defined] # for the tests alone
    return found


def write(folder: Path, record: dict[str, Any]) -> None:
    """A run's record where records are."""
    place = folder / "runs" / record["id"]
    place.mkdir(parents=True)
    (place / "run.json").write_text(json.dumps(record))


def test_a_deployment_comes_from_bytes_by_way_of_steps_and_commits(graph: Graph) -> None:
    repo: Repository = graph.repo  # type: ignore[attr-defined]
    raw, features = repo.at("main~2").id, repo.at("main").id
    found = [node.id for node in graph.reached(meant(graph, "flights"), "causes")]
    expected = [
        "default/flights-00001",
        "models:/flights/1",
        f"{RUN}/train",
        f"lake://flights@{features}/features.csv",
        f"flights@{features}",
        f"{RUN}/features",
        f"lake://flights@{repo.at('main~1').id}/raw/x.csv",
        f"flights@{raw}",
    ]
    assert [name for name in found if not name.endswith("/deploy")] == expected
    assert graph.nodes[f"{RUN}/train"].facts["parameters"] == {"seed": 7}
    assert graph.nodes[f"{RUN}/train"].facts["code"]["commit"] == "c0ffee"
    assert graph.nodes[f"flights@{raw}"].facts["message"] == "as it came"


def test_bytes_lead_on_to_what_came_of_them(graph: Graph) -> None:
    repo: Repository = graph.repo  # type: ignore[attr-defined]
    found = {node.id for node in graph.reached([f"flights@{repo.at('main~2').id}"], "effects")}
    assert {"models:/flights/1", "default/flights-00001", f"{RUN}/report"} <= found
    nothing = graph.reached([f"flights@{repo.at('main~1').id}"], "effects")
    assert len(nothing) == 1, "nothing was made of the other file"
    assert not any("broken" in name for name in graph.nodes)


def test_a_result_that_was_taken_leads_to_the_run_that_made_it(graph: Graph) -> None:
    assert meant(graph, "cd34") == [f"{CACHED}/train"]
    assert f"{RUN}/train" in {node.id for node in graph.reached([f"{CACHED}/train"], "causes")}
    assert len(meant(graph, "ab12")) == 4


def test_what_is_not_known_is_told(graph: Graph) -> None:
    with pytest.raises(MillpondError, match="nothing is known of models:/flight/1") as caught:
        meant(graph, "models:/flight/1")
    assert caught.value.hint == "did you mean models:/flights/1?"


def test_steps_are_told_as_openlineage(graph: Graph) -> None:
    found = list(events(graph, graph.reached(meant(graph, "models:/flights/1"), "causes")))
    for event in found:
        hold(event)
    assert [event["eventType"] for event in found] == ["START", "COMPLETE"] * 2
    by_name = {event["job"]["name"]: event for event in found}
    assert set(by_name) == {"flights.train", "flights.features"}
    train, features = by_name["flights.train"], by_name["flights.features"]
    assert (train["inputs"][0]["namespace"], train["inputs"][0]["name"]) == ("lake://flights", "features.csv")
    assert {"namespace": "mlflow", "name": "flights/1"} in train["outputs"]
    assert features["outputs"][0]["name"] == "features.csv"
    assert features["inputs"][0]["facets"]["version"]["datasetVersion"]
    assert train["run"]["facets"]["millpond_origin"]["code"]["commit"] == "c0ffee"
    assert train["run"]["facets"]["executionParameters"]["parameters"] == [{"key": "seed", "value": "7"}]
    assert train["eventTime"] == "1970-01-01T00:00:03.500000+00:00"
    assert train["run"]["runId"] != features["run"]["runId"]
    assert train["run"]["facets"]["parent"]["run"] == features["run"]["facets"]["parent"]["run"]


def deployment(name: str, *revisions: dict[str, Any]) -> dict[str, Any]:
    """What the controller says of a deployment, as far as lineage asks."""
    kept = [{"name": f"{name}-{number:05}", **found} for number, found in enumerate(revisions, 1)]
    return {"metadata": {"name": name, "namespace": "default"}, "status": {"revisions": kept}}


def test_a_revision_that_a_command_made_leads_to_its_model(graph: Graph) -> None:
    served = deployment(
        "delays",
        {"storageUri": "models:/flights@champion", "modelVersion": "1", "runId": "f00"},
        {"storageUri": "models:/renamed/4", "modelVersion": "4", "runId": "f00"},
        {"storageUri": "runs:/f00/model", "modelVersion": None, "runId": "f00"},
        {"storageUri": "s3://models/mine", "modelVersion": None, "runId": None},
    )
    add_revisions(graph, [served])
    for number in (1, 2, 3):
        found = {node.id for node in graph.reached([f"default/delays-{number:05}"], "causes")}
        assert f"{RUN}/train" in found, number
    assert graph.causes["default/delays-00001"] == ["models:/flights/1"]
    assert graph.causes["default/delays-00004"] == ["s3://models/mine"]
    assert meant(graph, "delays") == ["default/delays-00004"]
