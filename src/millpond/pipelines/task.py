"""What travels from the runner to a worker and back: plain data, small, and the same for every engine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from millpond.lake.reference import Reference

LEFT_OUT = "LeftOut"
"""The type of the error of a step whose condition was false."""
Status = Literal["done", "cached", "failed", "skipped", "cancelled"]


@dataclass(frozen=True)
class InputTask:
    """Where an input comes from: another step's port, that port of `many` tasks, or a path of the lake."""

    step: str | None = None
    port: str | None = None
    path: str | None = None
    type: str | None = None
    options: dict[str, Any] | None = None
    many: tuple[str, ...] | None = None


@dataclass(frozen=True)
class OutputTask:
    """Where an output goes: its type, its sink, and the sink's keys with all expressions replaced."""

    name: str
    type: str
    sink: str
    keys: dict[str, Any]


@dataclass(frozen=True)
class StepTask:
    """One step of one run.

    Attributes:
        conditions: ``step.port`` -> what the condition under `when` looks at.
        each: the item, for a step that fans out.
        forks: further outputs, ``port+sink`` -> where the port's value goes as well.
        environment: the step's own one, as `StepEnvironment.as_dict` gives it; empty for the run's.
        resources: ``memory`` in bytes and ``cpus``, where they are limited.
        static: digest of all that decides the result, save the inputs' content.
        cacheable: an earlier result may be taken.
        store: the result may serve later runs.
    """

    name: str
    kind: str
    keys: dict[str, Any]
    inputs: dict[str, InputTask]
    outputs: dict[str, OutputTask]
    arguments: dict[str, Any]
    needs: tuple[str, ...]
    retries: int
    retry_delay: float
    timeout: float | None
    code: str
    static: str
    seed: int
    cacheable: bool
    store: bool
    when: str | None = None
    conditions: dict[str, InputTask] = field(default_factory=dict)
    each: dict[str, Any] = field(default_factory=dict)
    forks: dict[str, OutputTask] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, int] = field(default_factory=dict)

    @property
    def apart(self) -> bool:
        """Whether the step runs in a process of its own."""
        return bool(self.environment or self.resources)

    @property
    def written(self) -> dict[str, OutputTask]:
        """All that the step writes: its outputs and their forks."""
        return {**self.outputs, **self.forks}

    def __dask_tokenize__(self) -> tuple[str, str]:
        """Saves Dask from hashing all of it: within a run the name says everything."""
        return type(self).__name__, self.name


@dataclass(frozen=True)
class Shared:
    """What all tasks of a run have in common; shipped to each worker once.

    Attributes:
        bundle: the pipeline's folder as a zip, and `bundle_digest` what it is called.
        known: key -> outputs of earlier runs, as far as they can matter here.
        environment: names and values that the steps' code finds in its environment.
        run_folder: where the record lives; used when the worker can reach it.
        epoch: how often the run was begun; a worker of an earlier time knows by it that nobody waits for it.
    """

    run: str
    pipeline: str
    parameters: dict[str, Any]
    bundle: bytes
    bundle_digest: str
    known: dict[str, dict[str, Any]]
    environment: dict[str, str] = field(repr=False)
    environment_key: str
    commit: str | None
    dirty: bool | None
    run_folder: str
    epoch: int = 1

    def __dask_tokenize__(self) -> tuple[str, str]:
        """See `StepTask.__dask_tokenize__`; here it also spares the bundle."""
        return type(self).__name__, f"{self.run}-{self.epoch}"


@dataclass(frozen=True)
class Work:
    """A run as an engine gets it: tasks in an order that respects their needs."""

    shared: Shared
    tasks: tuple[StepTask, ...]

    @property
    def run_folder(self) -> Path:
        """Where the run's record lives."""
        return Path(self.shared.run_folder)


@dataclass(frozen=True)
class Outcome:
    """How a step ended; the value of its task, so it holds references and no data."""

    step: str
    status: Status
    outputs: dict[str, Reference] = field(default_factory=dict)
    inputs: dict[str, Reference] = field(default_factory=dict)
    key: str | None = None
    attempts: int = 0
    started: float | None = None
    seconds: float = 0.0
    worker: str = ""
    error: dict[str, Any] | None = None
    from_run: str | None = None

    @property
    def good(self) -> bool:
        """Whether what needs this step can go on."""
        return self.status in ("done", "cached")

    @property
    def left_out(self) -> bool:
        """Whether its condition, or that of a step it needs, was false; no failure."""
        return self.status == "skipped" and (self.error or {}).get("type") == LEFT_OUT

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data; `from_dict` reads it back."""
        return {
            "step": self.step,
            "status": self.status,
            "outputs": {port: reference.as_dict() for port, reference in self.outputs.items()},
            "inputs": {port: reference.as_dict() for port, reference in self.inputs.items()},
            "key": self.key,
            "attempts": self.attempts,
            "started": self.started,
            "seconds": self.seconds,
            "worker": self.worker,
            "error": self.error,
            "from_run": self.from_run,
        }

    def as_json(self) -> str:
        """One line of JSON; `from_json` reads it back."""
        return json.dumps(self.as_dict(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Outcome:
        """The inverse of `as_json`.

        Raises:
            ValueError: the text is not whole.
        """
        data = json.loads(text)
        ports = {
            name: {port: Reference.from_dict(item) for port, item in data[name].items()}
            for name in ("outputs", "inputs")
        }
        return cls(**{**data, **ports})


def digest(*parts: Any) -> str:
    """A digest of plain data, the same in every process."""
    text = json.dumps(parts, sort_keys=True, default=str, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def cache_key(task: StepTask, inputs: dict[str, Reference]) -> str:
    """The name of a step's result: equal names, equal results."""
    found = {
        port: [reference.digest, reference.type, reference.options] for port, reference in inputs.items()
    }
    return digest(task.static, found)
