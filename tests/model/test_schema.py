"""The flavour file's JSON Schema: what an editor would complete, accept and refuse."""

from __future__ import annotations

import json

import pytest

from millpond.catalogue import Catalogue
from millpond.model import document
from millpond.model.component import Component
from millpond.model.schema import flavour_schema

from .fakes import COMPONENTS, FakeCatalogue


def schema() -> dict[str, object]:
    catalogue = FakeCatalogue()
    found = [catalogue.component(name) for name in document.read(COMPONENTS, "c").data]
    return flavour_schema([c for c in found if isinstance(c, Component)], catalogue.interfaces)


@pytest.fixture(scope="module")
def validator() -> object:
    jsonschema = pytest.importorskip("jsonschema")
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.parametrize(
    "text",
    [
        "components:\n  mill:\n  barn: {}\n",
        "components: [mill, grinder]",
        "name: pond\ntarget: kubernetes\ncomponents: {silo: {owner: me, size: 3, kind: square}}",
        "components: {grinder: {stones: 4, uses: {grain: barn}, ports: {http: 8080}}}",
        "components: {mine: {component: mill, stones: 3}}",
        "components: {barn: {component: silo, owner: me}}",
        "external: {store: {url: u, key: {env: KEY}}}",
    ],
)
def test_what_resolves_is_accepted(validator: object, text: str) -> None:
    validator.validate(document.read(text, "f").data)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "text",
    [
        "componets: {}",
        "target: cloud",
        "components: {mil: {}}",
        "components: [mil]",
        "components: {mill: {stone: 4}}",
        "components: {mill: {stones: many}}",
        "components: {mill: {uses: {grian: barn}}}",
        "components: {mill: {ports: {htp: 80}}}",
        "components: {silo: {size: 3}}",
        "components: {silo: {owner: me, size: 10}}",
        "components: {silo: {owner: me, kind: oval}}",
        "components: {mine: {stones: 4}}",
        "external: {stor: {}}",
        "external: {store: {url: u}}",
        "external: {store: {url: u, key: hush}}",
        "external: {store: {url: u, key: {env: A, file: B}}}",
    ],
)
def test_what_does_not_is_refused(validator: object, text: str) -> None:
    assert not validator.is_valid(document.read(text, "f").data)  # type: ignore[attr-defined]


def test_an_editor_shows_help_and_defaults() -> None:
    found = json.loads(json.dumps(schema()))
    mapping, names = found["properties"]["components"]["oneOf"]
    size = mapping["properties"]["silo"]["anyOf"][1]["else"]["properties"]["size"]
    assert size == {"type": "integer", "description": "How large", "default": 3, "minimum": 1, "maximum": 9}
    assert "grinder" in names["items"]["enum"]


def test_the_shipped_catalogue_has_a_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    catalogue = Catalogue()
    found = flavour_schema([entry.component for entry in catalogue], catalogue.interfaces)
    jsonschema.Draft202012Validator.check_schema(found)
