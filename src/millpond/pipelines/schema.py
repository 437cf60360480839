"""The JSON Schema of the pipeline file, for editors that complete and check it while it is written.

It has the keys of every kind and sink that is installed. What a schema cannot say (names of steps and ports,
expressions, signatures of functions) is checked by `millpond.pipelines.check` alone.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from millpond.model.errors import MillpondError
from millpond.pipelines import extension
from millpond.pipelines.document import Fork, Output, Pipeline, Step

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(*, builtin_only: bool = False) -> dict[str, Any]:
    """The schema as plain data.

    Args:
        builtin_only: with the kinds and sinks that Millpond brings, and no others, so that it is the same
            wherever it is made.
    """
    found = Pipeline.model_json_schema(by_alias=True, mode="validation")
    definitions = found["$defs"]
    _extend(definitions, "Step", Step, "use", "python", _models("millpond.steps", builtin_only))
    sinks = _models("millpond.sinks", builtin_only)
    _extend(definitions, "Output", Output, "sink", "lake", sinks)
    _extend(definitions, "Fork", Fork, "sink", None, sinks)
    return {
        "$schema": DIALECT,
        "title": "A Millpond pipeline",
        **{k: v for k, v in found.items() if k != "title"},
    }


def _models(group: extension.Group, builtin_only: bool) -> dict[str, type[BaseModel] | None]:
    names = sorted(extension.BUILTIN[group]) if builtin_only else extension.names(group)
    found: dict[str, type[BaseModel] | None] = {}
    for name in names:
        try:
            found[name] = extension.find(group, name).keys
        except MillpondError:
            found[name] = None  # its package is not whole here; its keys are checked where it is
    return found


def _extend(
    definitions: dict[str, Any],
    name: str,
    around: type[BaseModel],
    key: Literal["use", "sink"],
    default: str | None,
    models: dict[str, type[BaseModel] | None],
) -> None:
    """Let the keys of a kind or sink stand beside ours, according to the one that is named."""
    own = definitions[name]
    own.pop("additionalProperties", None)
    own["properties"][key]["examples"] = list(models)
    branches = []
    for word, model in models.items():
        if model is None:
            continue
        keys = model.model_json_schema(by_alias=True, mode="validation")
        for inner, part in keys.pop("$defs", {}).items():
            definitions.setdefault(inner, part)
        chosen: dict[str, Any] = {"properties": {key: {"const": word}}}
        if word != default:
            chosen["required"] = [key]
        beside = {
            "properties": {**own["properties"], **keys.get("properties", {})},
            "additionalProperties": False,
        }
        if keys.get("required"):
            beside["required"] = keys["required"]
        branches.append({"if": chosen, "then": beside})
    own["allOf"] = branches
