"""The pipeline file: what may stand in it, and a reader that refuses what cannot run, with its place.

Nothing here imports a step's code or a data library, so that the command line stays light.
"""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, WithJsonSchema

from millpond.model.document import Document, parse, read
from millpond.model.errors import MillpondError
from millpond.pipelines.parameters import Parameter

PortType = Literal["table", "json", "text", "number", "model", "file", "reference"]
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
STEP = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(value: Any) -> float:
    """A duration in seconds; ``10m``, ``1.5s``, ``500ms``, ``2h``, or a plain number of seconds.

    Raises:
        ValueError: the text is no duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(f"must be a duration such as 30s, 10m or 1h, not {value}")
    return float(match[1]) * _SECONDS[match[2]]


def _name(value: Any) -> Any:
    if isinstance(value, str) and not NAME.fullmatch(value):
        raise ValueError(f"must be lower case letters, digits and hyphens, not {value}")
    return value


_DURATION_SCHEMA = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION.pattern}]
}
Duration = Annotated[float, BeforeValidator(seconds), WithJsonSchema(_DURATION_SCHEMA)]


class Dates(BaseModel):
    """Partitions by date: the first day of each, as text such as ``2013-02-01``."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    first: str | datetime.date = Field(alias="from", description="The first day, or a parameter of type date")
    last: str | datetime.date = Field(alias="to", description="The last day, which belongs to it")
    by: Literal["day", "week", "month", "year"] = Field(default="day", description="How long a partition is")


class Objects(BaseModel):
    """Partitions by what is in the lake when the run begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    objects: str = Field(description="A bucket and a pattern, such as `raw/flights/2013/*.csv`")


class Schedule(BaseModel):
    """When the pipeline is to run by itself; what runs it by the clock is the engine it is handed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cron: str = Field(description="Five fields: minute, hour, day of month, month, day of week")
    timezone: str = Field(default="UTC", description="A name of the IANA's time zones")
    parameters: dict[str, Any] = Field(default_factory=dict, description="Values of these runs")


class Trigger(BaseModel):
    """What starts a run: a commit on a branch of a versioned repository."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repository: str = Field(description="The repository's name")
    branch: str = Field(default="main", description="The branch whose commits count")
    parameter: str | None = Field(default=None, description="The parameter that takes the commit")


class LakeInput(BaseModel):
    """An input that is in the lake already."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="Bucket and key, or `lake://repository@branch/path`")
    type: PortType | None = Field(default=None, description="Its type; the extension says when left out")
    separator: str = Field(default=",", description="What separates the columns of a .csv")


class Fork(BaseModel):
    """A further sink that the same value goes to; the sink's own keys stand beside."""

    model_config = ConfigDict(extra="allow", frozen=True)

    sink: str = Field(description="Where it goes as well")

    @property
    def keys(self) -> dict[str, Any]:
        """The sink's own keys."""
        return dict(self.model_extra or {})


class Output(BaseModel):
    """An output port: its type, and the keys of its sink, which the sink checks itself."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: PortType = Field(default="json", description="What the step returns; see the table of types")
    sink: str = Field(default="lake", description="Where it goes; the sink's own keys stand beside")
    forks: list[Fork] = Field(default_factory=list, description="Further sinks that take the same value")

    @property
    def keys(self) -> dict[str, Any]:
        """The sink's own keys."""
        return dict(self.model_extra or {})


class Resources(BaseModel):
    """What a step may take; it runs in a process of its own then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$")] | None = Field(
        default=None, description="The most memory, such as `2Gi`; a step that takes more fails"
    )
    cpus: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None, description="Threads of its numeric libraries"
    )

    def as_dict(self) -> dict[str, int]:
        """``memory`` in bytes and ``cpus``, as far as they are given."""
        found = {}
        if self.memory is not None:
            found["memory"] = int(self.memory[:-2]) << (20 if self.memory.endswith("Mi") else 30)
        if self.cpus is not None:
            found["cpus"] = self.cpus
        return found


class Step(BaseModel):
    """One step; keys that are not named here belong to its kind, which checks them itself."""

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    use: str = Field(default="python", description="The kind of step; the kind's own keys stand beside")
    inputs: dict[str, str | LakeInput] = Field(
        default_factory=dict, description="Ports that take another step's output, or a path of the lake"
    )
    outputs: dict[str, Output] = Field(default_factory=dict, description="Ports that the step fills")
    arguments: dict[str, Any] = Field(
        default_factory=dict, alias="with", description="Plain values, such as `${parameters.seed}`, by name"
    )
    after: list[str] = Field(default_factory=list, description="Steps that come first without giving data")
    when: str | None = Field(
        default=None,
        description="A condition, such as `${train.mae} < 20`; the step is left out where it is false",
    )
    each: dict[str, str | Dates | Objects | list[Any]] = Field(
        default_factory=dict, description="A name and a list: the step runs once per item, `${each.NAME}`"
    )
    retries: Annotated[int, Field(ge=0, le=100, description="How often it is tried again")] = 0
    retry_delay: Duration = Field(default=0.0, description="Pause before it is tried again")
    timeout: Duration | None = Field(default=None, description="How long one try may take")
    environment: str | list[str] | None = Field(
        default=None,
        description="Packages of its own: a requirements file beside the pipeline, or a list",
    )
    resources: Resources | None = Field(default=None, description="What it may take")
    cache: bool = Field(default=True, description="Not run again while inputs, values and code are the same")

    @property
    def keys(self) -> dict[str, Any]:
        """The kind's own keys."""
        return dict(self.model_extra or {})


class Pipeline(BaseModel):
    """A data flow: parameters, steps with typed ports, and what is worth showing at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str, BeforeValidator(_name), Field(description="Its name: lower case letters, digits, hyphens")
    ]
    summary: str = Field(default="", description="One line on what it does")
    parameters: dict[str, Parameter] = Field(default_factory=dict, description="What a run may be given")
    environment: str | None = Field(
        default=None,
        description="A requirements lock beside it; the platform's own when left out",
    )
    schedule: Schedule | None = Field(default=None, description="When it is to run by itself")
    triggers: list[Trigger] = Field(default_factory=list, description="What starts a run by itself")
    steps: Annotated[dict[str, Step], Field(min_length=1, description="The steps, in any order")]
    results: dict[str, str] = Field(
        default_factory=dict,
        description="Shown at the end: a label, and a port such as `${train.mae}`",
    )

    _document: Document = PrivateAttr()
    _path: Path = PrivateAttr()

    @property
    def document(self) -> Document:
        """The file as it was read, with its places."""
        return self._document

    @property
    def path(self) -> Path:
        """The pipeline file."""
        return self._path

    @property
    def folder(self) -> Path:
        """The folder of the pipeline file: its code."""
        return self._path.parent

    @property
    def lock(self) -> Path | None:
        """The requirements lock that the pipeline brings, if it brings one."""
        return self.folder / self.environment if self.environment else None


def read_pipeline(path: Path, *, strict: bool = False) -> Pipeline:
    """Read and check a pipeline file, and the signatures of the functions that it calls.

    Args:
        path: the file, or the folder that has a ``pipeline.yaml``.
        strict: refuse kinds and sinks that are not installed here. The command line is not strict, as
            they may be installed in the pipeline's environment alone; the runner is.

    Raises:
        DocumentError: one mistake; DocumentErrors: several, each with its place.
        MillpondError: there is no such file.
    """
    from millpond.pipelines.check import check

    file = path / "pipeline.yaml" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MillpondError(
            f"there is no pipeline at {path}", hint="name a pipeline file, or a folder that has pipeline.yaml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MillpondError(f"{file} cannot be read: {error}") from None
    document = read(text, str(path if not path.is_dir() else file))
    pipeline = parse(Pipeline, document)
    pipeline._document = document
    pipeline._path = file.resolve()
    check(pipeline, strict=strict)
    return pipeline
