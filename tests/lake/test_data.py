"""The flavour's ``data``: loaded by ``up``, once for each content, and never over what somebody changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from millpond.flavours.loader import read
from millpond.lake.files.given import Given, Loaded
from millpond.model.errors import DocumentError, MillpondError
from starter import Starter

COMPONENTS = "name: lake\ncomponents: [seaweedfs]\n"


@pytest.fixture
def project(lake: Starter) -> Iterator[Starter]:
    folder = lake.project / "data"
    (folder / "in").mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_text("a\n")
    (folder / "in/b.csv").write_text("b\n")
    (folder / ".hidden").write_text("x\n")
    (lake.project / "one.csv").write_text("1\n")
    flavour = lake.project / "millpond.yaml"
    flavour.write_text(
        f"{COMPONENTS}data:\n  - {{from: ./data, to: given/examples}}\n  - {{from: one.csv, to: given/}}\n"
    )
    yield lake
    flavour.write_text(COMPONENTS)


@pytest.mark.slow
def test_data_is_loaded_once_and_stays_as_it_was_changed(project: Starter) -> None:
    s3 = boto3.client(
        "s3",
        endpoint_url=project.env["AWS_ENDPOINT_URL"],
        aws_access_key_id=project.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=project.env["AWS_SECRET_ACCESS_KEY"],
    )

    def body(key: str) -> str:
        return str(s3.get_object(Bucket="given", Key=key)["Body"].read().decode())

    planned = project.json("plan", "--json")["data"]
    assert [(load["to"], load["why"]) for load in planned] == [("given/examples", "new"), ("given/", "new")]
    assert "load  given/examples  new: " in project.millpond("plan").stdout

    first = project.millpond("up")
    assert "data: 3 files loaded into the lake, 0 there already" in first.stderr
    assert (body("examples/a.csv"), body("examples/in/b.csv"), body("one.csv")) == ("a\n", "b\n", "1\n")
    assert project.json("plan", "--json")["data"] == []
    assert "data:" not in project.millpond("up").stderr

    # Somebody changes one object and deletes another; the flavour's folder changes in all its files.
    s3.put_object(Bucket="given", Key="examples/a.csv", Body=b"mine\n")
    (project.project / "data/a.csv").write_text("a2\n")
    (project.project / "data/in/b.csv").write_text("b2\n")
    (project.project / "data/c.csv").write_text("c\n")
    assert "load  given/examples  changed: " in project.millpond("plan").stdout
    second = project.millpond("up")
    assert "data: 2 files loaded into the lake, 0 there already" in second.stderr
    assert "stays as it is: given/examples/a.csv" in second.stderr
    assert (body("examples/a.csv"), body("examples/in/b.csv"), body("examples/c.csv")) == (
        "mine\n",
        "b2\n",
        "c\n",
    )
    assert "data:" not in project.millpond("up").stderr


@pytest.mark.slow
def test_what_is_not_there_is_told_before_anything_starts(project: Starter) -> None:
    flavour = project.project / "millpond.yaml"
    flavour.write_text(COMPONENTS + "data: [{from: ./nowhere, to: given/x}]\n")
    found = project.millpond("up", check=False)
    assert found.returncode == 3 and "there is no" in found.stderr and "nowhere" in found.stderr


def test_content_counts_and_times_do_not(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("1")
    given, loaded = Given(tmp_path / "d", "raw/d"), Loaded(tmp_path / "data.json")
    assert [why for _, why in loaded.waiting([given])] == ["new"]
    loaded.note(given, given.look(), given.digest())
    assert loaded.waiting([given]) == []
    (tmp_path / "d/x").write_text("1")
    assert loaded.waiting([given]) == []
    (tmp_path / "d/x").write_text("2")
    assert [why for _, why in loaded.waiting([given])] == ["changed"]


def test_a_file_becomes_its_target_or_goes_into_it(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("1")
    for target, key in (("raw/y", "raw/y"), ("raw/d/", "raw/d/x"), ("raw", "raw/x")):
        assert [found for found, _ in Given(tmp_path / "x", target).files()] == [key]
    with pytest.raises(MillpondError, match="there is no"):
        Given(tmp_path / "nothing", "raw").digest()


@pytest.mark.parametrize(
    "entry", ["{from: ./x}", "{to: raw/x}", "{from: ./x, to: Raw/x}", "{from: ./x, to: raw/../x}"]
)
def test_a_wrong_entry_is_told_with_its_place(tmp_path: Path, entry: str) -> None:
    (tmp_path / "millpond.yaml").write_text(f"components: [seaweedfs]\ndata:\n  - {entry}\n")
    with pytest.raises(DocumentError, match=r"millpond.yaml:3:"):
        read(tmp_path / "millpond.yaml")
