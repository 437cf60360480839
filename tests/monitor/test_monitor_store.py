"""A real object store: events reach it, and nothing is lost or doubled while it is away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from millpond_monitor import Monitor, Revision, ids, rows, until

from starter import Starter

pytestmark = pytest.mark.slow
FLAVOUR = "name: lake\ncomponents:\n  seaweedfs:\n    buckets: [raw]\n"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Starter]:
    """A platform that is an object store and nothing else."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "millpond.yaml").write_text(FLAVOUR)
    platform = Starter(folder)
    try:
        platform.millpond("up", timeout=300)
        yield platform
    finally:
        platform.millpond("destroy", "--yes", check=False)


def keys(store: Any) -> list[str]:
    """The events' objects; none while there is no bucket."""
    try:
        return [item["Key"] for item in store.list_objects_v2(Bucket="predictions").get("Contents", [])]
    except ClientError as error:
        assert error.response["Error"]["Code"] == "NoSuchBucket", error
        return []


def test_events_wait_for_a_store_that_is_away(
    lake: Starter, science_python: Path, tmp_path: Path, revision: Callable[..., Revision]
) -> None:
    environment = {key: value for key, value in lake.env.items() if key.startswith("AWS_")}
    monitor = Monitor(science_python, tmp_path, env=environment)
    monitor.start()
    store = boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )
    waiting = tmp_path / "monitor/stored/waiting"
    sent = []
    try:
        log = revision(tmp_path, "stored", "stored-1")
        sent.append(log.predict({"x": 1.0}, 0.5))
        until(lambda: keys(store), "nothing is in the store", 60)
        lake.millpond("down")
        sent.append(log.predict({"x": 2.0}, 0.5))
        until(lambda: list(waiting.glob("*.parquet")), "nothing waits")
        until(lambda: "the lake does not take events" in monitor.log.read_text(), "nothing is said", 90)
        assert monitor.get("stored", "window")["requests"] == 2  # questions are answered all the same
        monitor.kill()
        lake.millpond("up", timeout=300)
        monitor.start()
        until(lambda: len(keys(store)) == 2 and not list(waiting.iterdir()), "the file does not come", 90)
        found = []
        for key in keys(store):
            file = tmp_path / key.rpartition("/")[2]
            store.download_file("predictions", key, str(file))
            found += rows(science_python, [file])
        assert sorted(ids(found)) == sorted(ids(found, "inference.response")) == sorted(sent)
        assert {
            json.loads(row["data"])["inputs"][0]["data"][0] for row in found if "request" in row["type"]
        } == {
            1.0,
            2.0,
        }
    finally:
        monitor.stop()
