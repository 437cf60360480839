"""The one view of a workflow engine that Millpond needs: deploy, start, look, stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from millpond.model.errors import MillpondError, did_you_mean
from millpond.pipelines.handover.document import Handover

State = Literal["queued", "running", "succeeded", "failed", "skipped", "cancelled"]
NAMES = ("prefect", "airflow", "millpond")
COMPONENTS = {"prefect": "prefect", "airflow": "airflow", "millpond": "pipelines"}
"""Which component of the catalogue is which engine."""
_VARIABLES = {
    "engine": "MILLPOND_WORKFLOW_ENGINE",
    "url": "MILLPOND_WORKFLOW_URL",
    "username": "MILLPOND_WORKFLOW_USERNAME",
    "password": "MILLPOND_WORKFLOW_PASSWORD",
    "place": "MILLPOND_WORKFLOW_PLACE",
}


@dataclass(frozen=True)
class StepView:
    """How an engine sees a step: its state, and how often it was tried."""

    state: State
    attempts: int = 0


@dataclass(frozen=True)
class RunView:
    """How an engine sees a run."""

    state: State
    steps: dict[str, StepView] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in ("queued", "running")


class WorkflowEngine(Protocol):
    """What can be done with an engine. Runs have the engine's own ids; every call may raise `RestError`."""

    name: str

    def deploy(self, handover: Handover, folder: Path) -> None:
        """Make the engine know this version of a pipeline, with its schedule; `folder` is for files of it."""

    def start(self, pipeline: str, parameters: Mapping[str, Any]) -> str:
        """Start a run, and give its id."""

    def run(self, pipeline: str, run: str) -> RunView:
        """How a run goes."""

    def record(self, pipeline: str, run: str) -> str:
        """The id that the run's record has."""

    def log(self, pipeline: str, run: str, step: str) -> str:
        """What a step wrote, as the engine keeps it."""

    def schedule(self, pipeline: str) -> str | None:
        """The cron expression by which the engine runs a pipeline."""

    def cancel(self, pipeline: str, run: str) -> None:
        """Stop a run."""

    def page(self, pipeline: str, run: str) -> str:
        """The path of the run's page, below the engine's own address."""


def engine_of(variables: Mapping[str, str], wanted: str | None = None) -> WorkflowEngine:
    """The engine that the environment of a platform names.

    Args:
        variables: with ``MILLPOND_WORKFLOW_ENGINE`` and the others.
        wanted: the engine that the user asked for.

    Raises:
        MillpondError: there is none, or it is another.
    """
    found = {name: variables.get(key, "") for name, key in _VARIABLES.items()}
    if wanted and wanted not in NAMES:
        raise MillpondError(f"there is no engine {wanted}", hint=did_you_mean(wanted, NAMES))
    if not found["engine"] or not found["url"]:
        raise MillpondError(
            "no workflow engine is there",
            hint=f"add the component {COMPONENTS[wanted or 'millpond']} to the flavour, then `millpond up`",
        )
    if wanted and wanted != found["engine"]:
        raise MillpondError(
            f"the platform's workflow engine is {found['engine']}, not {wanted}",
            hint=f"add the component {COMPONENTS[wanted]} to the flavour, then `millpond up`",
        )
    if found["engine"] == "millpond":
        from millpond.pipelines.handover.millpond import Millpond

        return Millpond(found["url"], found["username"], found["password"])
    if found["engine"] == "airflow":
        from millpond.pipelines.handover.airflow import Airflow

        return Airflow(found["url"], found["username"], found["password"], Path(found["place"]))
    from millpond.pipelines.handover.prefect import Prefect

    return Prefect(found["url"], found["username"], found["password"], found["place"])
