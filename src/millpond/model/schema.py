"""The JSON Schema of the flavour file, so that an editor completes and checks it while it is written.

It is built from a catalogue: every component with its options, their help, defaults and bounds; every
interface that a service of one's own may provide. What only resolving can know, such as who meets which
requirement, is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from millpond.model.cluster import Cluster, Policies
from millpond.model.component import Component, Resources
from millpond.model.flavour import Data, Flavour, FromElsewhere, Rules, Selection
from millpond.model.interface import Interface
from millpond.model.option import Option

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = "^[a-z][a-z0-9_-]*$"
_TYPES = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "list": "array"}


def flavour_schema(components: Iterable[Component], interfaces: Mapping[str, Interface]) -> dict[str, Any]:
    """The schema of a flavour file.

    Args:
        components: all components of the catalogue.
        interfaces: all interfaces by name.
    """
    known = sorted(components, key=lambda component: component.name)
    names = [name for component in known for name in (component.name, *component.aliases)]
    fields = Flavour.model_json_schema()["properties"]
    cluster = Cluster.model_json_schema(ref_template="#/$defs/{model}")
    parts = cluster.pop("$defs")
    rules = Rules.model_json_schema(ref_template="#/$defs/{model}")
    parts |= rules.pop("$defs")
    return {
        "$schema": DIALECT,
        "title": "Millpond flavour",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": _NAME, "maxLength": 40, "default": "millpond"},
            "summary": {"type": "string"},
            "target": {"enum": fields["target"]["enum"], "default": fields["target"]["default"]},
            "catalogue": {
                "type": "array",
                "items": {"type": "string"},
                "description": fields["catalogue"]["description"],
            },
            "components": {
                "description": "What the platform is made of",
                "oneOf": [_mapping(known, names), {"type": "array", "items": {"enum": names}}],
            },
            "kubernetes": cluster,
            "policies": Policies.model_json_schema(),
            "data": {
                "type": "array",
                "description": fields["data"]["description"],
                "items": Data.model_json_schema(),
            },
            "lake": rules,
            "external": {
                "type": "object",
                "description": fields["external"]["description"],
                "additionalProperties": False,
                "properties": {name: _external(interface) for name, interface in sorted(interfaces.items())},
            },
        },
        "$defs": {
            "elsewhere": _elsewhere(),
            **parts,
        },
    }


def _mapping(components: list[Component], names: list[str]) -> dict[str, Any]:
    """A component stands under its own name, or under any other with the key ``component``."""
    return {
        "type": "object",
        "propertyNames": {"pattern": _NAME, "maxLength": 40},
        "properties": {
            name: {"description": component.summary, "anyOf": [{"type": "null"}, _selection(component, name)]}
            for component in components
            for name in (component.name, *component.aliases)
        },
        "additionalProperties": {
            "type": "object",
            "required": ["component"],
            "properties": {"component": {"enum": names}},
        },
    }


def _selection(component: Component, name: str) -> dict[str, Any]:
    fields = Selection.model_fields
    wiring = {"type": "string", "pattern": _NAME}
    properties: dict[str, Any] = {key: _option(option) for key, option in component.options.items()}
    properties["component"] = {"type": "string", "description": fields["component"].description}
    properties["binaries"] = {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": fields["binaries"].description,
    }
    properties["image"] = {"type": "string", "description": fields["image"].description}
    properties["resources"] = {
        **Resources.model_json_schema(),
        "description": fields["resources"].description,
    }
    if len(component.recipes) > 1:
        properties["recipe"] = {"enum": list(component.recipes), "description": fields["recipe"].description}
    if component.chart:
        properties["values"] = {"type": ["object", "string"], "description": fields["values"].description}
    if component.requires:
        properties["uses"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key: {**wiring, "description": f"Who provides {wanted.interface}"}
                for key, wanted in component.requires.items()
            },
            "description": fields["uses"].description,
        }
    if component.service.ports:
        port = {"type": "integer", "minimum": 1, "maximum": 65535}
        properties["ports"] = {
            "type": "object",
            "additionalProperties": False,
            "properties": dict.fromkeys(component.service.ports, port),
            "description": fields["ports"].description,
        }
    # Under a component's name another one may stand, and then its options are not these.
    own: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": properties}
    required = [key for key, option in component.options.items() if option.required]
    if required:
        own["required"] = required
    other = {"required": ["component"], "properties": {"component": {"not": {"const": component.name}}}}
    return {"type": "object", "if": other, "else": own}


def _option(option: Option) -> dict[str, Any]:
    found: dict[str, Any] = {"type": _TYPES[option.type], "description": option.help}
    if option.default is not None:
        found["default"] = option.default
    if option.minimum is not None:
        found["minimum"] = option.minimum
    if option.maximum is not None:
        found["maximum"] = option.maximum
    if option.type == "list":
        items = {"enum": option.choices} if option.choices else {"type": ["string", "number", "boolean"]}
        found["items"] = items
    elif option.choices:
        found["enum"] = option.choices
    return found


def _external(interface: Interface) -> dict[str, Any]:
    elsewhere = {"$ref": "#/$defs/elsewhere"}
    plain = {"type": ["string", "integer"]}
    found: dict[str, Any] = {
        "type": "object",
        "description": interface.summary,
        "additionalProperties": False,
        "properties": {
            name: {
                "description": wanted.help,
                # A secret does not belong into a file.
                **(elsewhere if wanted.secret else {"anyOf": [plain, elsewhere]}),
            }
            for name, wanted in interface.properties.items()
        },
    }
    required = [
        name
        for name, wanted in interface.properties.items()
        if wanted.required and wanted.default is None and name not in interface.request
    ]
    if required:
        found["required"] = required
    return found


def _elsewhere() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "A value that stands in an environment variable or a file",
        "additionalProperties": False,
        "properties": {name: {"type": "string"} for name in FromElsewhere.model_fields},
        "minProperties": 1,
        "maxProperties": 1,
    }
