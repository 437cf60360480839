"""What upstream charts take, as ``tools/charts.py`` noted it, and what is wrong by it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from millpond.model.errors import did_you_mean
from millpond.targets.kubernetes.bundle import Object

DATA = Path(__file__).with_name("data")

PASSED_ON = ("securityContext", "podSecurityContext", "containerSecurityContext", "resources")
"""Keys of whose values the charts' templates write every key out, whatever the defaults have."""

TYPES: dict[type, str] = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    type(None): "null",
}


@cache
def noted(component: str) -> Mapping[str, Any]:
    """What is noted of a component's chart; a component without a file fails its tests."""
    data = json.loads(gzip.decompress((DATA / f"{component}.json.gz").read_bytes()))
    assert isinstance(data, dict)
    return data


def wrong_values(values: Any, node: Mapping[str, Any], own: set[str], at: str = "") -> Iterator[str]:
    """What is wrong with values: a name that the chart does not know, or a value of another type.

    Args:
        values: what the chart is given.
        node: what it takes there.
        own: paths below which the names are the user's own.
        at: the path.
    """
    types = node.get("types")
    found = TYPES[type(values)]
    if types and found != "null" and found not in types and {found, *types} != {"number", "string"}:
        yield f"{at}: a chart's {' or '.join(types)} is given {found} {values!r}"
        return
    keys = node.get("keys")
    if not isinstance(values, Mapping) or not keys:
        return
    for key, value in values.items():
        path = f"{at}.{key}" if at else key
        if key in keys:
            yield from wrong_values(value, keys[key], own, path)
        elif not (node.get("open") or at in own or at.endswith(PASSED_ON)):
            yield f"{path} is unknown: {did_you_mean(key, keys)}"


def wrong_objects(objects: tuple[Object, ...], kinds: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with objects of an operator's kinds, as the API server would refuse it."""
    for obj in objects:
        group = obj["apiVersion"].partition("/")[0]
        if "." not in group or group.endswith(".k8s.io"):
            continue
        name = f"{obj['apiVersion']} {obj['kind']}"
        schema = strict(kinds[name])
        schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
        for error in jsonschema.Draft7Validator(schema).iter_errors(obj):
            yield from told(error, f"{obj['kind']} {obj['metadata']['name']}")


def told(error: jsonschema.ValidationError, name: str) -> Iterator[str]:
    """Where and why, without the schema."""
    where = error.json_path.removeprefix("$.")
    if error.validator != "additionalProperties":
        yield f"{name}: {where}: {error.message[:200]}"
        return
    known = error.schema["properties"]
    for key in error.instance.keys() - known.keys():
        path = f"{where}.{key}" if where != "$" else key
        yield f"{name}: {path} is unknown: {did_you_mean(key, known)}"


def strict(schema: Any) -> Any:
    """A structural schema in which a mapping takes no other keys than it names, as the server does."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    named = isinstance(schema.get("properties"), dict) and isinstance(schema.get("type"), str)
    if named and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-int-or-string"):
        made = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    return made
