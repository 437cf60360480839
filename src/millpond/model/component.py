"""Components: one folder of the catalogue, its options, requirements, provisions and recipes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from millpond.model.interface import Name, Template
from millpond.model.option import Option

Port = Annotated[int, Field(ge=1, lt=32768, description="Below Linux's range for outgoing connections")]
Seconds = Annotated[float, Field(gt=0, le=3600)]
RESERVED = frozenset({"uses", "component", "binaries", "ports", "recipe", "image", "resources", "values"})
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

    interface: Name = Field(description="The interface that is needed")
    optional: bool = Field(default=False, description="Used when the platform has a provider, else left out")
    wait: bool = Field(default=True, description="Start only when the provider is ready")

    @property
    def request(self) -> dict[str, str]:
        """What is asked of the provider, beyond the interface itself."""
        return {key: str(value) for key, value in (self.model_extra or {}).items()}


class Job(Part):
    """A command that runs once and ends; run again, it must change nothing."""

    command: list[Template] = Field(description="The program and its arguments; no shell is between")
    env: dict[str, Template] = Field(default={}, description="Variables on top of the service's own")
    stdin: Template | None = Field(default=None, description="Written to the command; where secrets may go")
    timeout: Seconds = Field(default=120, description="Seconds after which it is ended, and counts as failed")


class Provision(Part):
    """An interface that a component offers, its properties as expressions."""

    model_config = ConfigDict(extra="allow", frozen=True)

    interface: Name = Field(description="The interface that is offered")
    grants: dict[Name, Grant] = Field(default={}, description="Secrets made for each asker of its own")
    provision: Job | None = Field(
        default=None, description="Makes what an asker requested: a database, a bucket"
    )

    @property
    def properties(self) -> dict[str, Template]:
        """The interface's properties with their expressions."""
        return {key: str(value) for key, value in (self.model_extra or {}).items()}


class Secret(Part):
    """A secret that is made once, kept, and never printed."""

    length: Annotated[int, Field(ge=12, le=128, description="Letters and digits in it")] = 28


class Grant(Secret):
    """A secret that is made for an asker."""

    one: bool = Field(
        default=False,
        description="One for all that an asker requests, as a role has one password; else one for each",
    )


class Probe(Part):
    """How it is seen that a process is ready or alive: exactly one of the four ways."""

    http: Template | None = Field(default=None, description="A path; a status below 400 passes")
    tcp: bool | None = Field(default=None, description="`true`: an accepted connection passes")
    command: list[Template] | None = Field(default=None, description="A program; exit code 0 passes")
    log: str | None = Field(default=None, description="A regular expression that a log line matches")
    port: Name | None = Field(default=None, description="Which port; the first one when left out")
    interval: Seconds = Field(default=0.1, description="Seconds between two tries")
    timeout: Seconds = Field(default=2, description="Seconds that one try may take")

    @model_validator(mode="after")
    def _one_way(self) -> Probe:
        if sum(way is not None for way in (self.http, self.tcp, self.command, self.log)) != 1:
            raise ValueError("a probe has exactly one of http, tcp, command, log")
        return self


class Stop(Part):
    """How a process is asked to end, and how long it may take before it is made to."""

    signal: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP"] = Field(
        default="SIGTERM", description="The signal that asks it to end"
    )
    timeout: Seconds = Field(default=10, description="Seconds until its whole process group is killed")


class Process(Part):
    """One long-running process of a service."""

    command: list[Template] = Field(description="The program and its arguments; no shell is between")
    env: dict[str, Template] = Field(default={}, description="Variables on top of the service's own")
    ready: Probe | None = Field(default=None, description="Passes once the process can be used")
    live: Probe | None = Field(default=None, description="Asked while it is ready; three failures restart it")
    stop: Stop = Field(default=Stop(), description="How it is ended")
    start_timeout: Seconds = Field(default=90, description="Seconds from its start until it must be ready")
    after: list[Name] = Field(default=[], description="Processes of this service that must be ready first")
    only: Literal["local", "kubernetes"] | None = Field(
        default=None, description="The one target on which it runs; both when left out"
    )
    apart: bool = Field(
        default=False,
        description="On a cluster a workload of its own; the others of the service share one pod",
    )
    replicas: Template | None = Field(
        default=None, description="How many pods a process that stands apart gets on a cluster"
    )

    @model_validator(mode="after")
    def _replicas_stand_apart(self) -> Process:
        if self.replicas is not None and not self.apart:
            raise ValueError("replicas is for a process that stands apart; add apart: true")
        return self


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

    size: Annotated[
        str, Field(pattern=r"^\d+(Mi|Gi|Ti)$", description="What a cluster reserves; no limit on one machine")
    ] = "10Gi"
    ephemeral: bool = Field(
        default=False, description="Holds nothing worth keeping: on a cluster it ends with the pod"
    )


class File(Part):
    """A file made for the process: a template beside component.yaml, or inline content."""

    template: str | None = Field(default=None, description="A file beside component.yaml, its `${…}` filled")
    content: Template | None = Field(default=None, description="The content itself")

    @model_validator(mode="after")
    def _one_source(self) -> File:
        if (self.template is None) == (self.content is None):
            raise ValueError("a file has either template or content")
        return self


class SignIn(Part):
    """The service's own credentials, which the gateway presents once the user has signed in."""

    username: Template = Field(description="The user name")
    password: Template = Field(description="The password")


class Open(Part):
    """What a browser opens."""

    port: Name = Field(description="Which of the ports")
    path: str = Field(default="/", description="The path to begin at")
    title: str | None = Field(default=None, description="What the gateway's page calls it")
    sign_in: SignIn | None = Field(
        default=None, description="Credentials that the gateway presents to the service for a signed-in user"
    )
    public: bool = Field(default=False, description="No sign-in in front: for model endpoints")


class Resources(Part):
    """What the service needs, for the preflight check here and for limits on Kubernetes."""

    memory: Annotated[str, Field(pattern=r"^\d+(Mi|Gi)$", description="Memory in normal use")] = "256Mi"
    cpu: Annotated[float, Field(gt=0, description="Cores in normal use")] = 0.25
    gpu: Annotated[int, Field(ge=0, le=16, description="GPUs, on a cluster; its image is the CUDA one")] = 0

    @property
    def memory_bytes(self) -> int:
        """The memory in bytes."""
        return int(self.memory[:-2]) * (1 << 20 if self.memory.endswith("Mi") else 1 << 30)


class Service(Part):
    """The recipe for both targets: a process here, a workload on Kubernetes."""

    install: Install = Field(default=Install(), description="What its programs are installed from")
    ports: dict[Name, Port] = Field(default={}, description="Usual port numbers; a free one is found once")
    volumes: dict[Name, Volume] = Field(default={}, description="Folders for its data")
    secrets: dict[Name, Secret] = Field(default={}, description="Secrets of its own")
    files: dict[str, File] = Field(default={}, description="Files made before it starts, by name")
    env: dict[str, Template] = Field(default={}, description="Variables of all its processes and jobs")
    prepare: list[Job] = Field(default=[], description="Run before the processes start, once per change")
    processes: dict[Name, Process] = Field(
        default={}, description="Its processes; one alone may write its keys directly under `service`"
    )
    open: Open | None = Field(default=None, description="What a browser opens; a port's name is enough")
    credentials: SignIn | None = Field(default=None, description="What `millpond credentials` shows")
    resources: Resources = Field(default=Resources(), description="What it needs of the machine")
    leaves: list[Template] = Field(
        default=[], description="Files that it leaves outside its folders; removed when it has stopped"
    )
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


class ChartEndpoint(Part):
    """Where a chart's release answers, for ``${endpoints.NAME.…}``."""

    service: Template = Field(description="The Service's name")
    port: Annotated[int, Field(ge=1, le=65535, description="The Service's port")]
    scheme: Literal["http", "https"] = Field(default="http", description="What stands before its address")


class Chart(Part):
    """The recipe for Kubernetes where production wants an upstream's chart or operator.

    Values, objects and composed secrets are templates of the same options and bindings as a service's. A
    value that is one option alone keeps its type; one that is ``${platform.storage_class}`` alone is left out
    where the flavour names no class. A value never holds a secret: it names the Secret with
    ``${database.password|secret_name}`` and its key with ``${database.password|secret_key}``, or one of
    `secrets` here.
    """

    repository: str = Field(description="The chart repository, https://… or oci://…")
    name: str = Field(description="The chart's name in it")
    version: str = Field(description="The chart's version")
    digest: Annotated[str | None, Field(pattern=r"^sha256:[0-9a-f]{64}$")] = Field(
        default=None, description="The archive's checksum"
    )
    values: dict[str, Any] = Field(default={}, description="The chart's values; `${…}` inside texts")
    gpu: dict[str, Any] = Field(
        default={}, description="Values beside those where the flavour gives it a GPU (`resources: {gpu: 1}`)"
    )
    objects: list[str] = Field(
        default=[], description="Files beside component.yaml with objects that the operator acts on"
    )
    secrets: dict[str, dict[str, Template]] = Field(
        default={}, description="Secrets composed for the chart: name, then key and its text"
    )
    endpoints: dict[Name, ChartEndpoint] = Field(default={}, description="Where the release answers")
    namespace: str | None = Field(
        default=None, description="A namespace of its own, for operators that serve the whole cluster"
    )
    crds: list[str] = Field(default=[], description="The kinds that must be served before its objects")
    pods: dict[str, str] = Field(
        default={"app.kubernetes.io/instance": "${node}"},
        description="Labels by which network policies find the release's pods",
    )
    timeout: Seconds = Field(default=600, description="Seconds until the release must be ready")


class Status(Part):
    """What has been shown of a recipe: `verified` by its interfaces' conformance suites, or `rendered`."""

    local: Literal["verified", "rendered", "none"] = Field(default="rendered", description="On one machine")
    kubernetes: Literal["verified", "rendered", "none"] = Field(default="none", description="On a cluster")


class Component(Part):
    """An entry of the catalogue."""

    name: Name = Field(description="The component's name; its folder is called the same")
    summary: str = Field(description="One line on what it is")
    description: str = Field(default="", description="A paragraph on how it is set up here")
    version: str = Field(description="The upstream's version")
    homepage: str | None = Field(default=None, description="The upstream's page")
    licence: str = Field(description="The upstream's licence")
    packaged_by: str | None = Field(default=None, description="Who repacks the binary, when not the upstream")
    options: dict[Name, Option] = Field(default={}, description="What a flavour may say about it")
    requires: dict[Name, Requirement] = Field(default={}, description="Interfaces that it needs")
    provides: dict[Name, Provision] = Field(default={}, description="Interfaces that it offers")
    service: Service = Field(
        default=Service(),
        description="The recipe for both targets: how it is run; may be left out beside `chart`",
    )
    chart: Chart | None = Field(default=None, description="The recipe for Kubernetes by an upstream's chart")
    status: Status = Field(default=Status(), description="What has been shown of it")
    aliases: list[Name] = Field(default=[], description="Other names that a flavour may use for it")

    @model_validator(mode="after")
    def _names_are_free(self) -> Component:
        for name in self.options:
            if name in RESERVED:
                raise ValueError(f"an option cannot be called {name}, the flavour uses that word")
        for name in self.requires:
            if name in SCOPE:
                raise ValueError(f"a requirement cannot be called {name}, ${{{name}…}} means something else")
        if not self.recipes:
            raise ValueError("it has no recipe; write service, or chart")
        return self

    @property
    def recipes(self) -> tuple[str, ...]:
        """Its recipes by name."""
        return (("service",) if self.service.processes else ()) + (("chart",) if self.chart else ())

    @property
    def cluster_recipes(self) -> tuple[str, ...]:
        """Those for Kubernetes, of which the first is taken where the flavour says nothing.

        A service whose every process is for one machine only is none; without a chart there is none at all.
        """
        here = all(process.only == "local" for process in self.service.processes.values())
        return (("chart",) if self.chart else ()) if here else self.recipes


Provision.model_rebuild()
