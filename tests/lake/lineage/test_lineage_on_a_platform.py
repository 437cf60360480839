"""From a prediction back to the bytes, and from bytes on to what serves, by the commands of a platform."""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import requests
from openlineage_classes import hold

from millpond.lake.repository.keys import VARIABLE
from starter import Starter

NAME = "heights"
PIPELINE = """
    name: heights
    parameters: {least: {type: integer, default: 1}}
    steps:
      features:
        call: growth:features
        inputs: {raw: "lake://heights@main/raw/heights.csv"}
        with: {least: "${parameters.least}"}
        outputs: {features: {type: table, path: "lake://heights@features/heights.parquet"}}
      train:
        call: growth:train
        inputs: {features: "${features.features}"}
        outputs: {model: {type: model}}
"""
STEPS = """
    import mlflow
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    def features(raw: pd.DataFrame, least: int) -> pd.DataFrame:
        return raw[raw["age"] >= least]

    def train(features: pd.DataFrame) -> object:
        mlflow.set_experiment("heights")
        with mlflow.start_run():
            model = LinearRegression().fit(features[["age"]], features["height"])
            return mlflow.sklearn.log_model(
                model,
                name="model",
                registered_model_name="heights",
                serialization_format="cloudpickle",
                input_example=features[["age"]],
                pip_requirements=["scikit-learn"],
            )
"""
RAW = "age,height\n0,50\n1,75\n2,87\n3,96\n"


@pytest.fixture(scope="module")
def predicted(starter: Starter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A model that a pipeline trained from an encrypted repository, deployed by hand, and asked once.

    The commands and the steps on the platform's workers open the repository with the same key file.
    """
    folder = tmp_path_factory.mktemp(NAME)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(tmp_path_factory.mktemp("keys") / "lake.key"))
        yield from _predicted(starter, folder)


def _predicted(starter: Starter, folder: Path) -> Iterator[dict[str, Any]]:
    (folder / "heights.csv").write_text(RAW)
    (folder / "pipeline.yaml").write_text(dedent(PIPELINE))
    (folder / "growth.py").write_text(dedent(STEPS))
    identity = ["-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "commit.gpgsign=false"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "as it is"]):
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)
    found = subprocess.run(
        ["git", "-C", str(folder), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    starter.millpond("repo", "create", NAME, "--encrypt")
    try:
        starter.millpond(
            "repo", "put", NAME, str(folder / "heights.csv"), "--to", "raw/", "-m", "as measured"
        )
        starter.millpond("repo", "branch", NAME, "features")
        record = starter.run(folder)
        assert record["status"] == "succeeded", record
        starter.millpond("deploy", "models:/heights/1", "--name", NAME, "--log", timeout=180)
        answer = requests.post(
            f"http://127.0.0.1:{starter.gateway_port}/v2/models/{NAME}/infer",
            headers={"Host": f"{NAME}.localhost"},
            json={"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": [4]}]},
            timeout=60,
        )
        assert answer.ok, answer.text
        prediction = answer.headers["x-request-id"]
        deadline = time.monotonic() + 120
        while starter.millpond("lake", "ls", f"predictions/default/{NAME}", check=False).returncode:
            assert time.monotonic() < deadline, "the prediction is not in the lake"
        yield {"id": prediction, "run": record["id"], "code": found.stdout.strip(), "record": record}
    finally:
        starter.millpond("undeploy", NAME, "--yes", check=False)
        starter.millpond("repo", "delete", NAME, "--yes", check=False)


def test_a_prediction_leads_back_to_the_bytes(predicted: dict[str, Any], starter: Starter) -> None:
    found = starter.json("lineage", predicted["id"], "--json")
    nodes = {node["id"]: node for node in found["nodes"]}
    causes: dict[str, set[str]] = {}
    for edge in found["edges"]:
        causes.setdefault(edge["made"], set()).add(edge["of"])
    run = predicted["run"]
    features = predicted["record"]["steps"]["features"]["outputs"]["features"]["uri"]
    raw = predicted["record"]["steps"]["features"]["inputs"]["raw"]["uri"]
    feature_commit, raw_commit = (uri.removeprefix("lake://").partition("/")[0] for uri in (features, raw))
    chain = [
        f"prediction/{predicted['id']}",
        f"default/{NAME}-00001",
        f"models:/{NAME}/1",
        f"{run}/train",
        features,
        feature_commit,
        f"{run}/features",
        raw,
        raw_commit,
    ]
    for effect, cause in pairwise(chain):
        assert cause in causes[effect], f"{effect} was not made of {cause}"
    assert nodes[f"{run}/train"]["code"]["commit"] == predicted["code"]
    assert nodes[f"{run}/train"]["parameters"] == {"least": 1}
    assert nodes[raw_commit]["message"] == "as measured"
    assert nodes[raw]["sha256"] == hashlib.sha256(RAW.encode()).hexdigest()
    assert starter.millpond("repo", "cat", raw_commit, "raw/heights.csv").stdout == RAW
    shown = starter.millpond("lineage", predicted["id"]).stdout.splitlines()
    assert shown[0].startswith("prediction ") and any(line.strip().startswith("commit") for line in shown)


def test_bytes_lead_on_to_what_serves(predicted: dict[str, Any], starter: Starter) -> None:
    raw = predicted["record"]["steps"]["features"]["inputs"]["raw"]["uri"]
    found = starter.json("lineage", raw, "--forward", "--json")
    names = {node["id"] for node in found["nodes"]}
    assert {f"{predicted['run']}/features", f"models:/{NAME}/1", f"default/{NAME}-00001"} <= names


def test_its_steps_are_openlineage_events(predicted: dict[str, Any], starter: Starter) -> None:
    lines = starter.millpond("lineage", predicted["id"], "--openlineage").stdout.splitlines()
    events = [json.loads(line) for line in lines]
    for event in events:
        hold(event)
    last = {event["job"]["name"]: event for event in events}
    assert set(last) == {f"{NAME}.train", f"{NAME}.features"}
    assert all(event["eventType"] == "COMPLETE" for event in last.values())
    assert [item["name"] for item in last[f"{NAME}.features"]["outputs"]] == ["heights.parquet"]
