"""Data-Mill's flavours on a cluster: what joins there, and whose values a chart is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millpond.catalogue import Catalogue
from millpond.flavours import loader
from millpond.model.errors import DocumentError
from millpond.model.flavour import Selection
from millpond.model.resolve import resolve
from millpond.targets.kubernetes.render import render

CLUSTER: dict[str, Any] = {"cluster": True, "catalogue": Catalogue()}
HUB = "project: {flavour: 'minio, jupyterhub'}\njhub:\n  config_file: hub.yaml\n"


def test_what_runs_on_a_cluster_only_joins(tree: Any) -> None:
    found = tree.translate("project: {flavour: 'minio, jupyterhub, monitoring-stack'}\n", **CLUSTER)
    assert list(found.flavour.components) == ["seaweedfs", "jupyterhub", "prometheus"]
    assert found.flavour.target == "kubernetes"


def test_a_values_file_is_given_to_the_chart_under_the_flavours_own(tree: Any) -> None:
    tree.write("infrastructure/components/jupyterhub/hub.yaml", "cull: {every: 60, timeout: 600}\n")
    found = tree.translate(HUB + "  values: {cull: {every: 5}}\n", **CLUSTER)
    assert found.flavour.components["jupyterhub"].values == {"cull": {"every": 5, "timeout": 600}}
    place = found.document.place(("components", "jupyterhub", "values", "cull", "timeout"))
    assert (Path(place.source).name, place.line) == ("hub.yaml", 1)


def test_the_chart_gets_them_over_what_the_component_says(tree: Any) -> None:
    tree.write("infrastructure/flavours/hub.yaml", "proxy: {service: {type: NodePort}}\n")
    source = loader.read(tree.flavour(HUB), cluster=True)
    catalogue = source.catalogue()
    release = render(source.resolve(catalogue), catalogue).units["jupyterhub"].release
    assert release is not None
    assert release.values["proxy"]["service"]["type"] == "NodePort"
    assert release.values["hub"]["db"]["type"] == "postgres"


def test_a_recipe_that_is_a_service_is_given_none(tree: Any) -> None:
    tree.write("infrastructure/flavours/store.yaml", "volume: {replicas: 2}\n")
    text = "project: {flavour: minio}\nminio:\n  config_file: store.yaml\n"
    assert tree.translate(text, **CLUSTER).flavour.components["seaweedfs"].values == {}
    chart = tree.translate(text + "  recipe: chart\n", **CLUSTER).flavour.components["seaweedfs"]
    assert (chart.recipe, chart.values) == ("chart", {"volume": {"replicas": 2}})


def test_one_machine_takes_no_notice(tree: Any) -> None:
    tree.write("infrastructure/flavours/store.yaml", "- 1\n")
    text = "project: {flavour: mlflow}\nmlflow: {config_file: store.yaml, recipe: chart, values: {a: 1}}\n"
    assert tree.translate(text).flavour.components["mlflow"] == Selection()


@pytest.mark.parametrize(
    ("file", "rest", "message"),
    [
        ("- one\n", "", "hub.yaml:1:1: the values file of jupyterhub must be a mapping"),
        ("a: [1\n", "", "hub.yaml:1:4: not YAML"),
        ("a: 1\n", "  values: [1]\n", "own.yaml:4:11: values must be a mapping"),
        ("a: 1\n", "  recipe: helm\n", "own.yaml:4:11: recipe must be 'service' or 'chart', not 'helm'"),
        ("a: 1\n", "  recipe: service\n", "own.yaml:4:11: jupyterhub has no service recipe"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tree: Any, file: str, rest: str, message: str) -> None:
    tree.write("infrastructure/flavours/hub.yaml", file)

    def resolved() -> None:
        found = tree.translate(HUB + rest, **CLUSTER)
        resolve(found.flavour, CLUSTER["catalogue"], found.document)

    with pytest.raises(DocumentError) as caught:
        resolved()
    assert message in str(caught.value)


@pytest.mark.parametrize(("other", "chosen"), [("fast", "fast"), ("slow", "")])
def test_a_storage_class_that_all_agree_on_is_the_platforms(tree: Any, other: str, chosen: str) -> None:
    text = "project: {flavour: 'minio, jupyterhub, mlflow'}\nminio: {storage_class: fast}\n"
    found = tree.translate(f"{text}jhub: {{storage_class: {other}}}\n", **CLUSTER)
    assert found.flavour.kubernetes.storage_class == chosen
    told = [note.text for note in found.notes if note.subject == "storage_class"]
    assert told == (
        []
        if chosen
        else [
            "storage_class is left out: a platform has one for all its volumes, not several "
            "(minio fast, jupyterhub slow)"
        ]
    )
