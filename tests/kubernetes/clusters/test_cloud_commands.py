"""``millpond cluster terraform`` and ``flavour``: files that are written, and what outputs turn into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from millpond.catalogue import Catalogue
from millpond.model import document
from millpond.model.flavour import Flavour
from millpond.model.resolve import resolve
from millpond.targets.kubernetes.clusters.terraform.module import CLOUDS
from millpond.targets.kubernetes.render import render

from .conftest import Fakes
from .terraform_module import bare, module, read

# As the outputs of each module would be; no cloud has said them.
SAID: dict[str, dict[str, str]] = {
    "aks": {"context": "lab", "registry": "lab1234.azurecr.io", "gpu_pool": "dedicated=gpu"},
    "eks": {
        "context": "lab",
        "registry": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/lab",
        "lake_endpoint": "https://s3.eu-central-1.amazonaws.com",
        "lake_bucket": "lab-lake-123456789012-eu-central-1",
        "lake_region": "eu-central-1",
        "gpu_pool": "",
    },
    "gke": {
        "context": "gke_my-project_europe-west4_lab",
        "registry": "europe-west4-docker.pkg.dev/my-project/lab",
        "lake_endpoint": "https://storage.googleapis.com",
        "lake_bucket": "lab-lake-my-project",
        "lake_region": "auto",
        "gpu_pool": "dedicated=gpu",
    },
}


def printed(cloud: str, **other: Any) -> str:
    """What ``terraform output -json`` prints for a module: every output, those that people read too."""
    values = {name: SAID[cloud].get(name, "a command") for name in module(cloud).outputs} | other
    return json.dumps(
        {name: {"sensitive": False, "type": "string", "value": value} for name, value in values.items()}
    )


@pytest.mark.parametrize("cloud", sorted(CLOUDS))
def test_the_module_is_written_whole_and_once(fakes: Fakes, cloud: str) -> None:
    found = fakes.run("terraform", cloud, "--name", "lab", "--region", "far-east-1", "--gpu", "none")
    assert found.returncode == 0, found.stderr
    assert "never applied to a cloud" in found.stderr
    folder = fakes.project / cloud
    assert {Path(line).name for line in found.stdout.splitlines()} == {path.name for path in folder.iterdir()}
    example = bare(read((folder / "terraform.tfvars.example").read_text()))
    assert (example["name"], example["region"], example["gpu_size"]) == ('"lab"', '"far-east-1"', '"none"')
    assert fakes.calls == []
    again = fakes.run("terraform", cloud, "--name", "lab", "--region", "far-east-1", "--gpu", "none")
    assert again.returncode == 0
    assert again.stdout == ""


def test_ecr_gets_a_repository_for_each_image_that_millpond_pushes(fakes: Fakes) -> None:
    assert fakes.run("terraform", "eks", "-o", "infra").returncode == 0
    images = bare(read((fakes.project / "infra/terraform.tfvars.example").read_text()))["images"]
    assert {'"millpond-mlflow"', '"millpond-gateway"'} <= set(images)
    # Charts bring images of their own.
    assert '"millpond-trino"' not in images


def test_a_file_that_says_something_else_is_never_overwritten(fakes: Fakes) -> None:
    folder = fakes.project / "gke"
    folder.mkdir()
    (folder / "pools.tf").write_text("# mine\n")
    found = fakes.run("terraform", "gke")
    assert found.returncode == 1
    assert "has another pools.tf already, and nothing was written" in found.stderr
    assert [path.name for path in folder.iterdir()] == ["pools.tf"]
    assert (folder / "pools.tf").read_text() == "# mine\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "Lab"], "the cluster cannot be called 'Lab'"),
        (["--name", "l" * 21], "cannot be called"),
        (["--region", 'x"\n'], "is no region of AWS"),
        (["--gpu", "${file}"], "'${file}' is no gpu of AWS"),
    ],
)
def test_what_would_not_be_a_name_in_the_cloud_is_refused(
    fakes: Fakes, words: list[str], message: str
) -> None:
    found = fakes.run("terraform", "eks", *words)
    assert found.returncode == 2
    assert message in found.stderr
    assert not (fakes.project / "eks").exists()


@pytest.mark.parametrize("cloud", sorted(CLOUDS))
def test_outputs_become_the_parts_of_a_flavour(fakes: Fakes, cloud: str) -> None:
    found = fakes.run("flavour", "-", stdin=printed(cloud))
    assert found.returncode == 0, found.stderr
    said, parts = SAID[cloud], yaml.safe_load(found.stdout)
    gpu = {"node_selector": {"dedicated": "gpu"}, "toleration": {"dedicated": "gpu"}}
    wanted = {"context": said["context"], "registry": said["registry"]}
    assert parts["kubernetes"] == (wanted | {"gpu": gpu} if said["gpu_pool"] else wanted)
    if cloud == "aks":
        assert set(parts) == {"kubernetes"}
        assert "keep seaweedfs" in found.stderr
    else:
        assert parts["external"] == {
            "s3": {
                "endpoint": said["lake_endpoint"],
                "bucket": said["lake_bucket"],
                "region": said["lake_region"],
                "access_key": {"env": "LAKE_ACCESS_KEY"},
                "secret_key": {"env": "LAKE_SECRET_KEY"},
            }
        }
        assert "LAKE_ACCESS_KEY" in found.stderr


@pytest.mark.parametrize("cloud", sorted(CLOUDS))
def test_a_flavour_with_these_parts_renders(
    fakes: Fakes, cloud: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ACCESS_KEY", "an-id")
    parts = fakes.run("flavour", "-", stdin=printed(cloud)).stdout
    store = "seaweedfs, " if cloud == "aks" else ""
    text = f"name: mill\ntarget: kubernetes\ncomponents: [{store}postgres, mlflow]\n{parts}"
    read_ = document.read(text, "millpond.yaml")
    catalogue = Catalogue()
    bundle = render(resolve(document.parse(Flavour, read_), catalogue, read_), catalogue)
    containers = [
        container
        for unit in bundle.units.values()
        for obj in unit.objects
        if obj["kind"] in ("Deployment", "StatefulSet")
        for container in obj["spec"]["template"]["spec"]["containers"]
    ]
    assert containers
    assert all(
        container["image"].startswith(SAID[cloud]["registry"] + "/millpond-") for container in containers
    )
    arguments = [word for container in containers for word in (container.get("command") or [])]
    if cloud != "aks":
        assert f"s3://{SAID[cloud]['lake_bucket']}/mlflow" in " ".join(arguments)


def test_outputs_are_read_from_a_file_too(fakes: Fakes) -> None:
    (fakes.project / "outputs.json").write_text(printed("gke"))
    found = fakes.run("flavour", "outputs.json", "--json")
    assert json.loads(found.stdout)["kubernetes"]["context"] == SAID["gke"]["context"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input is not what `terraform output -json` prints"),
        ('{"context": "lab"}', "is not what `terraform output -json` prints"),
        ("{}", "standard input has no outputs"),
        (printed("eks", registry=""), "standard input lacks the output registry"),
        (printed("eks", lake_bucket=None), "standard input lacks the output lake_bucket"),
        (printed("aks", context=["lab"]), "standard input lacks the output context"),
        (printed("gke", gpu_pool="gpu"), "says 'gpu' for the output gpu_pool"),
    ],
)
def test_what_is_missing_is_named_with_the_way_to_get_it(fakes: Fakes, text: str, message: str) -> None:
    found = fakes.run("flavour", "-", stdin=text)
    assert found.returncode == 1
    assert message in found.stderr
    assert "hint: " in found.stderr
    assert found.stdout == ""


def test_a_file_that_is_not_there_is_named(fakes: Fakes) -> None:
    found = fakes.run("flavour", "nowhere.json")
    assert found.returncode == 3
    assert "nowhere.json cannot be read" in found.stderr
