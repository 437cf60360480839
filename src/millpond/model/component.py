"""Components: one folder of the catalogue, its options, requirements, provisions and recipes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millpond.model.interface import Name, Template
from millpond.model.option import Option

Port = Annotated[int, Field(ge=1, lt=32768, description="Below Linux's range for outgoing connections")]
Seconds = Annotated[float, Field(gt=0, le=3600)]
RESERVED = frozenset({"uses", "component", "binaries", "ports"})
SCOPE = frozenset(
    {"options", "ports", "endpoints", "secrets", "volumes", "files", "install", "platform", "bind", "folder"}
    | {"node", "asker", "grant", "request"}
)


class Part(BaseModel):
    """What all parts of a component file share: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Requirement(Part):
    """An interface that a component needs, and what it asks of the provider (``database: mlflow``)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    interface: Name
    optional: bool = Field(default=False, description="Used when the platform has a provider, else left out")
    wait: bool = Field(default=True, description="Start only when the provider is ready")

    @property
    def request(self) -> dict[str, str]:
        """What is asked of the provider, beyond the interface itself."""
        return {key: str(value) for key, value in (self.model_extra or {}).items()}


class Job(Part):
    """A command that runs once and ends; run again, it must change nothing."""

    command: list[Template]
    env: dict[str, Template] = {}
    stdin: Template | None = Field(default=None, description="Written to the command; where secrets may go")
    timeout: Seconds = 120


class Provision(Part):
    """An interface that a component offers, its properties as expressions."""

    model_config = ConfigDict(extra="allow", frozen=True)

    interface: Name
    grants: dict[Name, Secret] = Field(default={}, description="Secrets made for each asker of its own")
    provision: Job | None = Field(
        default=None, description="Makes what an asker requested: a database, a bucket"
    )

    @property
    def properties(self) -> dict[str, Template]:
        """The interface's properties with their expressions."""
        return {key: str(value) for key, value in (self.model_extra or {}).items()}


class Secret(Part):
    """A secret that is made once, kept, and never printed."""

    length: Annotated[int, Field(ge=12, le=128)] = 28


class Probe(Part):
    """How it is seen that a process is ready or alive: exactly one of the four ways."""

    http: Template | None = None
    tcp: bool | None = None
    command: list[Template] | None = None
    log: str | None = Field(default=None, description="A regular expression that a log line matches")
    port: Name | None = Field(default=None, description="Which port; the first one when left out")
    interval: Seconds = 0.1
    timeout: Seconds = 2

    @model_validator(mode="after")
    def _one_way(self) -> Probe:
        if sum(way is not None for way in (self.http, self.tcp, self.command, self.log)) != 1:
            raise ValueError("a probe has exactly one of http, tcp, command, log")
        return self


class Stop(Part):
    """How a process is asked to end, and how long it may take before it is made to."""

    signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] = "SIGTERM"
    timeout: Seconds = 10


class Process(Part):
    """One long-running process of a service."""

    command: list[Template]
    env: dict[str, Template] = {}
    ready: Probe | None = None
    live: Probe | None = None
    stop: Stop = Stop()
    start_timeout: Seconds = 90
    after: list[Name] = Field(default=[], description="Processes of this service that must be ready first")


class Install(Part):
    """What a service is installed from; several kinds may stand together."""

    pip: str | None = Field(default=None, description="A requirements lock with hashes")
    maven: str | None = Field(default=None, description="A list of jars with checksums")
    npm: str | None = Field(default=None, description="A package-lock.json")
    deb: str | None = Field(default=None, description="A list of Debian packages with checksums")
    path: list[str] | None = Field(default=None, description="Programs that the user has on PATH")
    millpond: bool = Field(default=False, description="Millpond's own package is on the process's path")


class Volume(Part):
    """A folder whose content outlives the process."""

    size: Annotated[str, Field(pattern=r"^\d+(Mi|Gi|Ti)$")] = "10Gi"


class File(Part):
    """A file made for the process: a template beside component.yaml, or inline content."""

    template: str | None = None
    content: Template | None = None

    @model_validator(mode="after")
    def _one_source(self) -> File:
        if (self.template is None) == (self.content is None):
            raise ValueError("a file has either template or content")
        return self


class SignIn(Part):
    """The service's own credentials, which the gateway presents once the user has signed in."""

    username: Template
    password: Template


class Open(Part):
    """What a browser opens."""

    port: Name
    path: str = "/"
    title: str | None = None
    sign_in: SignIn | None = None
    public: bool = Field(default=False, description="No sign-in in front: for model endpoints")


class Resources(Part):
    """What the service needs, for the preflight check here and for limits on Kubernetes."""

    memory: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$")] = "256Mi"
    cpu: Annotated[float, Field(gt=0)] = 0.25

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.memory[:-2]) * (1 << 20 if self.memory.endswith("Mi") else 1 << 30)


class Service(Part):
    """The recipe for both targets: a process here, a workload on Kubernetes."""

    install: Install = Install()
    ports: dict[Name, Port] = {}
    volumes: dict[Name, Volume] = {}
    secrets: dict[Name, Secret] = {}
    files: dict[str, File] = {}
    env: dict[str, Template] = {}
    prepare: list[Job] = Field(default=[], description="Run before the processes start, once per change")
    processes: dict[Name, Process] = {}
    open: Open | None = None
    credentials: SignIn | None = Field(default=None, description="What `millpond credentials` shows")
    resources: Resources = Resources()
    unprivileged: bool = Field(default=False, description="Refuses to run as root; another user is taken")

    @model_validator(mode="before")
    @classmethod
    def _one_process(cls, data: Any) -> Any:
        """A service of one process writes the process's keys directly."""
        if isinstance(data, dict):
            if isinstance(data.get("open"), str):
                data = {**data, "open": {"port": data["open"]}}
            if "command" in data and "processes" not in data:
                inline = ("command", "ready", "live", "stop", "start_timeout")
                main = {key: data[key] for key in inline if key in data}
                rest = {key: value for key, value in data.items() if key not in inline}
                data = {**rest, "processes": {"main": main}}
        return data

    @model_validator(mode="after")
    def _names_exist(self) -> Service:
        for name, process in self.processes.items():
            for other in process.after:
                if other not in self.processes:
                    raise ValueError(f"process {name} is after {other}, which is no process of this service")
        if self.open and self.open.port not in self.ports:
            raise ValueError(f"open names the port {self.open.port}, which is not among the ports")
        return self


class Status(Part):
    """What has been shown of a recipe: `verified` by its interfaces' conformance suites, or `rendered`."""

    local: Literal["verified", "rendered", "none"] = "rendered"
    kubernetes: Literal["verified", "rendered", "none"] = "none"


class Component(Part):
    """An entry of the catalogue."""

    name: Name
    summary: str
    description: str = ""
    version: str = Field(description="The upstream's version")
    homepage: str | None = None
    licence: str
    packaged_by: str | None = Field(default=None, description="Who repacks the binary, when not the upstream")
    options: dict[Name, Option] = {}
    requires: dict[Name, Requirement] = {}
    provides: dict[Name, Provision] = {}
    service: Service
    status: Status = Status()
    aliases: list[Name] = Field(default=[], description="Other names that a flavour may use for it")

    @model_validator(mode="after")
    def _names_are_free(self) -> Component:
        for name in self.options:
            if name in RESERVED:
                raise ValueError(f"an option cannot be called {name}, the flavour uses that word")
        for name in self.requires:
            if name in SCOPE:
                raise ValueError(f"a requirement cannot be called {name}, ${{{name}…}} means something else")
        return self


Provision.model_rebuild()
