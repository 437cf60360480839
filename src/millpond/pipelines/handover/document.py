"""What an engine is told of a pipeline: plain data, no secret in it, the same for every engine."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from millpond.pipelines import provenance
from millpond.pipelines.bundle import pack, unpack
from millpond.pipelines.document import Pipeline
from millpond.pipelines.graph import needs, order
from millpond.pipelines.parameters import resolve


@dataclass(frozen=True)
class Handover:
    """One version of a pipeline, ready to be run by somebody else.

    Attributes:
        file: the pipeline file in a copy of its folder, which later edits leave alone.
        runs: the folder of the run records.
        python: of the environment that the steps need; `env` is what it needs to find Millpond.
        steps: name -> ``needs``, ``retries``, ``retry_delay``, ``timeout`` (seconds), in an order to run in.
        parameters: name -> ``type, default, help, minimum, maximum, choices``.
        schedule: a cron expression, in `timezone`.
        version: a digest of the folder.
        handed: when it was handed over; no run of the schedule is older.
        environments: of the steps that have their own, installed; see `StepEnvironment`.
    """

    name: str
    summary: str
    file: str
    runs: str
    python: str
    env: dict[str, str]
    steps: dict[str, dict[str, Any]]
    parameters: dict[str, dict[str, Any]]
    version: str
    handed: str
    schedule: str | None = None
    timezone: str = "UTC"
    commit: str | None = None
    dirty: bool | None = None
    tags: list[str] = field(default_factory=list)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        return asdict(self)


def hand_over(
    pipeline: Pipeline,
    place: Path,
    *,
    runs: Path,
    python: Path,
    env: Mapping[str, str],
    defaults: Mapping[str, Any] | None = None,
    schedule: str | None = None,
    commit: str | None = None,
    environments: Mapping[str, dict[str, Any]] | None = None,
) -> Handover:
    """Put a copy of a pipeline's folder where engines find it, and say all that they have to know.

    Args:
        place: the folder of all such copies, each below it by name and version.
        runs: the folder of the run records.
        python: of the environment that has the pipeline's packages.
        env: variables that it needs; no secret may be among them, as engines show them.
        defaults: values of parameters in place of the file's.
        schedule: a cron expression in place of the file's.
        commit: the version of the code; what git says when None.
        environments: of the steps that have their own, as `StepEnvironment.as_dict` gives them.

    Raises:
        MillpondError: the folder is too large, or a parameter does not fit.
    """
    bundle, version = pack(pipeline.folder)
    folder = place / pipeline.name / version[:16]
    unpack(bundle, folder)
    of_git, dirty = provenance.commit(pipeline.folder) if commit is None else (commit, None)
    given = dict(defaults or {})
    own = pipeline.schedule
    return Handover(
        name=pipeline.name,
        summary=pipeline.summary,
        file=str(folder / pipeline.path.name),
        runs=str(runs.resolve()),
        python=str(python),
        env=dict(env),
        steps=steps_of(pipeline),
        parameters=parameters_of(pipeline, given),
        version=version[:16],
        handed=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        schedule=schedule or (own.cron if own else None),
        timezone=own.timezone if own else "UTC",
        commit=of_git,
        dirty=dirty,
        environments=dict(environments or {}),
    )


def steps_of(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """What an engine has to know of the steps; see `Handover.steps`.

    A step that fans out has no time-out here: its items run one after the other, each within its own time.
    """
    graph = needs(pipeline.steps)
    return {
        name: {
            "needs": list(graph[name]),
            "retries": pipeline.steps[name].retries,
            "retry_delay": pipeline.steps[name].retry_delay,
            "timeout": None if pipeline.steps[name].each else pipeline.steps[name].timeout,
        }
        for name in order(graph)
    }


def parameters_of(pipeline: Pipeline, given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What an engine has to know of the parameters; see `Handover.parameters`.

    Args:
        given: values in place of the file's defaults.

    Raises:
        UsageError: one does not fit.
    """
    if given:
        complete = {name: one.default for name, one in pipeline.parameters.items() if one.default is not None}
        resolve(pipeline.parameters, {**complete, **given})
    found = {}
    for name, one in pipeline.parameters.items():
        data = one.model_dump(mode="json")
        found[name] = {**data, "default": given.get(name, data["default"])}
    return found
