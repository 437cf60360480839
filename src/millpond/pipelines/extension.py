"""Every point at which a package can extend pipelines, and how Millpond finds what is installed.

A package names its classes in its metadata, under the groups ``millpond.steps``, ``millpond.sinks`` and
``millpond.engines``; nothing is registered at import. They are looked up when a run needs them, on the
process that needs them, so what is installed after a platform started is there for the next run.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from millpond.model.errors import MillpondError, did_you_mean

if TYPE_CHECKING:
    from millpond.lake.reference import Reference
    from millpond.pipelines.context import StepContext
    from millpond.pipelines.document import Step
    from millpond.pipelines.task import Outcome, OutputTask, Work

Group = Literal["millpond.steps", "millpond.sinks", "millpond.engines"]

# Millpond itself may be a folder on PYTHONPATH, with no metadata; these are the names of its pyproject.toml.
BUILTIN: dict[Group, dict[str, str]] = {
    "millpond.steps": {
        "python": "millpond.pipelines.steps.python:PythonStep",
        "command": "millpond.pipelines.steps.command:CommandStep",
        "deploy": "millpond.pipelines.steps.deploy:DeployStep",
        "notebook": "millpond.pipelines.steps.notebook:NotebookStep",
        "sql": "millpond.pipelines.steps.sql:SqlStep",
        "r": "millpond.pipelines.steps.r:RStep",
        "dask": "millpond.pipelines.steps.dask:DaskStep",
        "container": "millpond.pipelines.steps.container:ContainerStep",
        "http": "millpond.pipelines.steps.http:HttpStep",
        "mlflow-project": "millpond.pipelines.steps.mlflow_project:ProjectStep",
        "databricks": "millpond.pipelines.steps.databricks:DatabricksStep",
        "spark": "millpond.pipelines.steps.spark:SparkStep",
    },
    "millpond.sinks": {
        "lake": "millpond.pipelines.sinks.lake:LakeSink",
        "table": "millpond.pipelines.sinks.table:TableSink",
        "postgres": "millpond.pipelines.sinks.postgres:PostgresSink",
        "http": "millpond.pipelines.sinks.http:HttpSink",
        "kafka": "millpond.pipelines.sinks.kafka:KafkaSink",
        "eventhubs": "millpond.pipelines.sinks.eventhubs:EventHubsSink",
        "synapse": "millpond.pipelines.sinks.synapse:SynapseSink",
        "sqlserver": "millpond.pipelines.sinks.synapse:SynapseSink",
    },
    "millpond.engines": {"dask": "millpond.pipelines.engines.dask:DaskEngine"},
}


class Keys(BaseModel):
    """The keys that a kind or a sink adds to a step or an output of the file; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Problem:
    """Something wrong with a step: the keys that lead to it from the step, and a sentence."""

    at: tuple[str | int, ...]
    message: str
    hint: str | None = None


class StepKind(ABC):
    """A kind of step, named by ``use:``. One object serves one step of one run, on any process.

    Attributes:
        keys: what may stand beside ``use``.
        cacheable: False for what has to be done every time.
        raw: keys whose expressions the kind replaces itself.
        packages: requirements that are added to the environment that a step lists.
        environment: the environment of the catalogue that steps run in which name none; else the pipeline's.
    """

    keys: ClassVar[type[Keys]] = Keys
    cacheable: ClassVar[bool] = True
    raw: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[tuple[str, ...]] = ()
    environment: ClassVar[str | None] = None

    def check(self, step: Step, keys: Any, folder: Path, strict: bool) -> Iterable[Problem]:
        """What is wrong with the step, found without running or importing its code."""
        return ()

    def code(self, keys: Any, folder: Path) -> Code:
        """What stands for the step's code: when it changes, the step runs again."""
        return Code("")

    @abstractmethod
    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Do the work on a worker and return the value of every output port; raise to fail."""


class Sink(ABC):
    """Where an output goes, named by ``sink:`` on the output; ``lake`` when nothing is named."""

    keys: ClassVar[type[Keys]] = Keys

    def check(self, port_type: str, keys: Any) -> Iterable[Problem]:
        """What is wrong with an output of this type and these keys."""
        return ()

    @abstractmethod
    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Store the value, all or nothing, the same bytes for the same value, and say where it is."""

    @abstractmethod
    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """Whether what was once written is still there, unchanged."""


class Engine(ABC):
    """What executes a run's tasks, named by ``--engine``."""

    @abstractmethod
    def execute(self, work: Work, report: Callable[[Mapping[str, Any]], None]) -> dict[str, Outcome]:
        """Run all tasks in order of their needs, report as they go, and return every step's outcome.

        KeyboardInterrupt stops what runs, and passes on.
        """


@dataclass(frozen=True)
class Code:
    """The code of a step, as far as caching is concerned.

    Attributes:
        digest: changes when the code does.
        uses_parameters: the code reads the run's parameters by itself, so all of them count.
        uses_seed: the code reads the run's seed by itself.
    """

    digest: str
    uses_parameters: bool = False
    uses_seed: bool = False


@dataclass(frozen=True)
class StepCall:
    """What a kind gets to work with on the worker.

    Attributes:
        keys: the kind's own keys, checked and rendered (those in `StepKind.raw` as written).
        inputs: port -> reference.
        arguments: the values under ``with``.
        outputs: port -> where its value will go.
        context: the run's side of the step.
        code: the unpacked folder of the pipeline.
        decode: the value of an input port.
        local: a local file with the bytes of an input port.
        render: replaces the expressions of a raw key; takes the value, extra names, and a quote.
        record: the folder of the run's record that has the steps' logs, where this process reaches it.
    """

    keys: Any
    inputs: Mapping[str, Reference]
    arguments: Mapping[str, Any]
    outputs: Mapping[str, OutputTask]
    context: StepContext
    code: Path
    decode: Callable[[str], Any]
    local: Callable[[str], Path]
    render: Callable[..., Any]
    record: Path | None = None


def names(group: Group) -> list[str]:
    """All names of a group that are installed here."""
    return sorted({*BUILTIN[group], *(point.name for point in _points(group))})


def find(group: Group, name: str) -> Any:
    """The class with this name.

    Raises:
        MillpondError: none is installed here, or it cannot be imported.
    """
    target = BUILTIN[group].get(name)
    try:
        if target is not None:
            module, _, attribute = target.partition(":")
            return getattr(importlib.import_module(module), attribute)
        for point in _points(group):
            if point.name == name:
                return point.load()
    except ImportError as error:
        raise MillpondError(
            f"{name} of {group} cannot be imported: {error}",
            hint="is its package whole in the environment of the pipeline?",
        ) from error
    word = {"millpond.steps": "kind of step", "millpond.sinks": "sink", "millpond.engines": "engine"}[group]
    raise MillpondError(f"there is no {word} named {name}", hint=did_you_mean(name, names(group)))


def installed(group: Group, name: str) -> bool:
    """Whether a name of a group is installed here."""
    return name in BUILTIN[group] or any(point.name == name for point in _points(group))


def _points(group: Group) -> Iterator[importlib.metadata.EntryPoint]:
    importlib.invalidate_caches()
    yield from importlib.metadata.entry_points(group=group)
