"""The second document's life cycle on a whole platform: from a list to a number behind a URL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from starter import EXAMPLES, Starter, reported

pytestmark = pytest.mark.slow

NAME = "mlflow-wachttijden-tree"
EXAMPLE = EXAMPLES / "waiting-times"


@pytest.fixture(scope="module")
def record(starter: Starter) -> dict[str, Any]:
    return starter.run(EXAMPLE, date="2022-09-09")


def infer(starter: Starter, body: bytes, name: str = NAME) -> requests.Response:
    return requests.post(
        f"http://127.0.0.1:{starter.gateway_port}/v2/models/{name}/infer",
        data=body,
        headers={"Host": f"{name}.localhost", "Content-Type": "application/json"},
        timeout=30,
    )


def test_every_path_carries_the_date(record: dict[str, Any], starter: Starter) -> None:
    store = boto3.client(
        "s3",
        endpoint_url=starter.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=starter.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=starter.env["AWS_SECRET_ACCESS_KEY"],
        region_name=starter.env["AWS_REGION"],
    )
    for bucket in ("raw", "intermediate", "preprocessed"):
        keys = [e["Key"] for e in store.list_objects_v2(Bucket=bucket, Prefix="wachttijden/")["Contents"]]
        assert "wachttijden/2022/09/09/wachttijden.csv" in keys
    head = store.get_object(Bucket="preprocessed", Key="wachttijden/2022/09/09/wachttijden.csv")["Body"]
    first = next(head.iter_lines()).decode()
    assert first == "WACHTTIJD;TYPE_WACHTTIJD;SPECIALISME;ROAZ_REGIO;TYPE_ZORGINSTELLING"


def test_steps_exchange_references_and_train_consumes_what_prepare_made(record: dict[str, Any]) -> None:
    steps = record["steps"]
    made = steps["fix_missing_values"]["outputs"]["prepared"]
    read = steps["train"]["inputs"]["prepared"]
    assert (read["uri"], read["version"], read["sha256"]) == (made["uri"], made["version"], made["sha256"])


def test_the_model_is_as_good_as_its_signal_allows(record: dict[str, Any]) -> None:
    assert 0.28 < reported(record)["metrics"]["r2"] < 0.40


def test_the_documents_own_body_gets_one_number(record: dict[str, Any], starter: Starter) -> None:
    """Strings typed FP32, as the document has them."""
    body = (EXAMPLE / "testdata.json").read_bytes()
    assert b'"FP32"' in body and b"Polikliniekbezoek" in body
    answer = infer(starter, body)
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    assert output["datatype"] == "FP64"
    assert len(output["data"]) == 1
    assert 0 < output["data"][0] < 500


def test_a_region_never_seen_gets_a_prediction(record: dict[str, Any], starter: Starter) -> None:
    body = json.loads((EXAMPLE / "testdata.json").read_text())
    region = next(column for column in body["inputs"] if column["name"] == "ROAZ_REGIO")
    region["data"] = ["Onbekend"]
    answer = infer(starter, json.dumps(body).encode())
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["outputs"][0]["data"]) == 1


def test_bad_input_is_refused_in_a_sentence(record: dict[str, Any], starter: Starter) -> None:
    body = json.loads((EXAMPLE / "testdata.json").read_text())
    body["inputs"] = [column for column in body["inputs"] if column["name"] != "SPECIALISME"]
    answer = infer(starter, json.dumps(body).encode())
    assert answer.status_code == 400
    assert "SPECIALISME" in answer.json()["error"]
    assert "Traceback" not in answer.text


def test_what_has_not_changed_is_not_run_again(record: dict[str, Any], starter: Starter) -> None:
    again = starter.run(EXAMPLE, date="2022-09-09")
    states = {name: step["status"] for name, step in again["steps"].items()}
    assert {states[name] for name in ("ingest", "select_features", "fix_missing_values", "train")} == {
        "cached"
    }
    assert reported(again)["metrics"] == reported(record)["metrics"]


def test_another_parameter_runs_what_depends_on_it(record: dict[str, Any], starter: Starter) -> None:
    other = starter.run(EXAMPLE, date="2022-09-09", depth="6")
    states = {name: step["status"] for name, step in other["steps"].items()}
    assert states["fix_missing_values"] == "cached"
    assert states["train"] == "done"
    assert reported(other)["model"] != reported(record)["model"]


def test_a_list_of_ones_own_is_taken(record: dict[str, Any], starter: Starter, tmp_path: Path) -> None:
    """A hundred rows of the synthetic list, as if they were the user's."""
    raw = record["steps"]["ingest"]["outputs"]["raw"]["uri"].removeprefix("s3://raw/")
    store = boto3.client(
        "s3",
        endpoint_url=starter.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=starter.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=starter.env["AWS_SECRET_ACCESS_KEY"],
        region_name=starter.env["AWS_REGION"],
    )
    lines = store.get_object(Bucket="raw", Key=raw)["Body"].read().split(b"\n")
    own = tmp_path / "own.csv"
    own.write_bytes(b"\n".join(lines[:2001]) + b"\n")
    found = starter.run(EXAMPLE, date="2023-01-02", csv=str(own))
    assert found["steps"]["select_features"]["outputs"]["selected"]["rows"] == 2000
