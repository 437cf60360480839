"""What a chart is given is what it takes: values against its own and its schema, objects against its CRDs."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from millpond.catalogue import Catalogue
from millpond.model.component import Component
from millpond.targets.kubernetes.bundle import Release
from millpond.targets.kubernetes.render import render

from ..render.conftest import resolved
from .facts import noted, wrong_objects, wrong_values

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))
import charts as tool

FLAVOURS: dict[str, dict[str, object]] = {
    # A database of the operator's, with an asker, so that there are objects for one.
    "cloudnativepg": {"cloudnativepg": {}, "mlflow": {}, "seaweedfs": {}},
    # One that asks for a bucket, and one that asks for all.
    "seaweedfs": {"seaweedfs": {"recipe": "chart"}, "mlflow": {}, "dask": {}, "postgres": {}},
}
OWN_NAMES = {
    "airflow": {"config.logging"},
    "jupyterhub": {"hub.config", "hub.extraEnv", "hub.extraConfig"},
    "trino": {"catalogs"},
}
"""Where the names are the user's own."""

CHARTS = [entry.component for entry in Catalogue() if entry.component.chart]


@cache
def release(name: str) -> Release:
    """A component's release on a platform that has whatever it needs."""
    components = FLAVOURS.get(name, {name: {"recipe": "chart"}})
    with TemporaryDirectory() as folder:
        bundle = render(*resolved(Path(folder), {"name": "demo", "components": components}))
    found = bundle.units[name].release
    assert found is not None
    return found


def wrong(component: Component, values: Mapping[str, Any]) -> list[str]:
    own = OWN_NAMES.get(component.name, set())
    return list(wrong_values(dict(values), noted(component.name)["values"], own))


@pytest.mark.parametrize("component", CHARTS, ids=lambda found: found.name)
def test_the_chart_takes_the_values(component: Component) -> None:
    assert wrong(component, release(component.name).values) == []


@pytest.mark.parametrize("component", CHARTS, ids=lambda found: found.name)
def test_the_operator_takes_the_objects(component: Component) -> None:
    objects = release(component.name).objects
    assert list(wrong_objects(objects, noted(component.name)["kinds"])) == []


@pytest.mark.parametrize("component", CHARTS, ids=lambda found: found.name)
def test_what_is_noted_is_of_the_chart_that_is_pinned(component: Component) -> None:
    chart = component.chart
    assert chart is not None
    assert (noted(component.name)["chart"], noted(component.name)["version"]) == (chart.name, chart.version)


@pytest.mark.parametrize("component", CHARTS, ids=lambda found: found.name)
def test_a_slip_in_any_name_is_told_with_what_was_meant(component: Component) -> None:
    values = release(component.name).values
    for key in values:
        told = wrong(component, {f"{key}x": values[key]})
        assert told == [f"{key}x is unknown: did you mean {key}?"]


def test_a_slip_deep_inside_and_a_wrong_type_are_told_with_their_path() -> None:
    trino = next(found for found in CHARTS if found.name == "trino")
    values = {"coordinator": {"jvm": {"maxHeapsize": "8G"}}, "server": "two"}
    assert wrong(trino, values) == [
        "coordinator.jvm.maxHeapsize is unknown: did you mean maxHeapSize?",
        "server: a chart's object is given string 'two'",
    ]


def test_a_slip_in_an_operators_object_is_told_with_what_was_meant() -> None:
    kafka = copy.deepcopy(release("strimzi").objects[1])
    kafka["spec"]["kafka"]["listener"] = kafka["spec"]["kafka"].pop("listeners")
    told = list(wrong_objects((kafka,), noted("strimzi")["kinds"]))
    assert "Kafka strimzi: spec.kafka.listener is unknown: did you mean listeners?" in told


def test_the_notes_of_a_chart_join_its_values_its_schema_and_its_parts(tmp_path: Path) -> None:
    for name, text in _TINY.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = tool.noted(tmp_path, {("tiny.dev/v1", "Mill")})
    assert found["values"]["keys"] == {
        "free": {"types": ["object"], "open": True},
        "part": {"types": ["object"], "open": True},
        "size": {"types": ["number", "string"]},
        "wheel": {"types": ["object"], "keys": {"spokes": {"types": ["number"]}, "colour": {}}},
    }
    assert found["kinds"] == {"tiny.dev/v1 Mill": {"type": "object", "properties": {"description": {}}}}


_TINY = {
    "Chart.yaml": "{name: tiny, version: 0.1.0, dependencies: [{name: other, alias: part}]}",
    "values.yaml": "{free: {}, size: 1, wheel: {colour: null}}",
    "values.schema.json": '{"properties": {"size": {"type": ["integer", "string"]},'
    ' "wheel": {"$ref": "#/w"}}, "w": {"type": "object", "properties": {"spokes": {"type": "integer"}}}}',
    "crds/mill.yaml": "kind: CustomResourceDefinition\nspec: {group: tiny.dev, names: {kind: Mill},"
    " versions: [{name: v1, schema: {openAPIV3Schema: {type: object, description: x,"
    " properties: {description: {description: y}}}}}]}\n",
}
