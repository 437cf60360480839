"""Holds an event to OpenLineage's own classes, which its project makes from the standard's JSON schema.

Nothing that the classes do not name is let pass, nothing that they need may be missing, and each facet says
the very version of the schema that they are of. What they check themselves (UUIDs, times) is checked, too.
"""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

import attr
from openlineage.client.generated.base import RunEvent
from openlineage.client.generated.dataset_version_dataset import DatasetVersionDatasetFacet
from openlineage.client.generated.execution_parameters_run import ExecutionParametersRunFacet
from openlineage.client.generated.job_type_job import JobTypeJobFacet
from openlineage.client.generated.parent_run import ParentRunFacet

FACETS: dict[str, type] = {
    "parent": ParentRunFacet,
    "executionParameters": ExecutionParametersRunFacet,
    "jobType": JobTypeJobFacet,
    "version": DatasetVersionDatasetFacet,
}
OWN = "millpond_"


def hold(event: dict[str, Any]) -> None:
    """Pass, or say what of a run event is not as the standard has it."""
    assert event["schemaURL"] == RunEvent._get_schema()
    _made(RunEvent, event, "event")


def _made(kind: Any, data: Any, place: str) -> Any:
    fields = {field.name: field for field in attr.fields(kind)}
    assert set(data) <= set(fields), f"{place} has {sorted(set(data) - set(fields))}"
    hints = typing.get_type_hints(kind)
    given = {}
    for name, field in fields.items():
        if name not in data:
            assert not field.init or field.default is not attr.NOTHING, f"{place} has no {name}"
        elif name == "facets":
            given[name] = {key: _facet(key, facet, f"{place}.{key}") for key, facet in data[name].items()}
        elif field.init:
            given[field.alias] = _value(hints[name], data[name], f"{place}.{name}")
    return kind(**given)


def _facet(key: str, data: dict[str, Any], place: str) -> Any:
    assert data["_producer"].startswith("https://"), place
    if key.startswith(OWN):
        assert data["_schemaURL"].startswith("https://openlineage.io/spec/"), place
        return data
    assert data["_schemaURL"] == FACETS[key]._get_schema(), place  # type: ignore[attr-defined]
    return _made(FACETS[key], data, place)


def _value(hint: Any, data: Any, place: str) -> Any:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    (meant,) = [option for option in options if option is not type(None)]
    if typing.get_origin(meant) is list:
        assert isinstance(data, list), place
        (inner,) = typing.get_args(meant)
        return [_value(inner, item, f"{place}[{index}]") for index, item in enumerate(data)]
    if attr.has(meant):
        return _made(meant, data, place)
    if isinstance(meant, type) and issubclass(meant, Enum):
        return meant(data)
    assert isinstance(data, meant), f"{place} is {data!r}"
    return data
