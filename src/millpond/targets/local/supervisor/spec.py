"""What a supervisor is asked to run, and what it answers about it.

Plain dataclasses with a JSON form, because they cross a socket between processes that may run in
different environments.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

State = Literal["waiting", "starting", "ready", "unhealthy", "backoff", "stopping", "stopped", "failed"]
Restart = Literal["always", "on-failure", "never"]

STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset({"stopped", "failed"})
"""States without a process, which are left only when somebody asks for it."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One question that tells whether a service works; exactly one of http, tcp, command, log.

    Args:
        http: URL (plain ``http``); an answer with a status below 400 passes.
        headers: request headers; ``${NAME}`` in a value is taken from the service's environment, so that
            a secret stays where secrets are.
        tcp: host and port; an accepted connection passes.
        command: run with the environment, user and folder of the service; exit code 0 passes.
        log: regular expression, searched in what the service wrote since it was started.
        interval: seconds between two tries; 0.1 for a readiness probe, 10 for a liveness probe.
        timeout: seconds that one try may take.
        failures: tries in a row that have to fail until a liveness probe restarts the service.
    """

    http: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    tcp: tuple[str, int] | None = None
    command: tuple[str, ...] | None = None
    log: str | None = None
    interval: float | None = None
    timeout: float = 3.0
    failures: int = 3

    def __post_init__(self) -> None:
        asked = [kind for kind in ("http", "tcp", "command", "log") if getattr(self, kind) is not None]
        if len(asked) != 1:
            raise ValueError(f"a probe is one of http, tcp, command, log, not {', '.join(asked) or 'none'}")
        if self.http is not None and (
            urlsplit(self.http).scheme != "http" or not urlsplit(self.http).hostname
        ):
            raise ValueError(f"a probe asks a plain http:// URL, not {self.http}")
        if self.http is not None and "@" in urlsplit(self.http).netloc:
            raise ValueError("a probe's URL is shown in messages; put credentials into headers")
        if self.log is not None:
            re.compile(self.log)
        if self.tcp is not None:
            object.__setattr__(self, "tcp", (str(self.tcp[0]), int(self.tcp[1])))
        if self.command is not None:
            object.__setattr__(self, "command", tuple(self.command))

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port that an http or tcp probe connects to."""
        if self.http is not None:
            url = urlsplit(self.http)
            return url.hostname or "127.0.0.1", url.port or 80
        return self.tcp

    def __str__(self) -> str:
        if self.http is not None:
            return self.http
        if self.tcp is not None:
            return f"{self.tcp[0]}:{self.tcp[1]}"
        if self.command is not None:
            return f"command {Path(self.command[0]).name}"
        return f"log line /{self.log}/"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Probe:
        """The probe that ``dataclasses.asdict`` and JSON made."""
        return cls(**data)


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """One process to keep running.

    Args:
        name: unique within the platform.
        component: the component of the flavour it belongs to.
        argv: the command; an absolute path, or a name looked up on the ``PATH`` of ``env``.
        env: environment, on top of the few variables named in ``spawn.INHERITED``. May hold secrets: it is
            never written, logged or told again.
        cwd: folder to run in; made if it is missing.
        log: file that standard output and error are appended to.
        user: when the supervisor is root, the user to become; not looked at otherwise.
        ready: passes once the service can be used; without one it is ready after a quarter of a second.
        live: asked as long as the service is ready; restarts it after ``live.failures`` failures in a row.
        stop_signal: sent to the process to end it; being ended by it is a clean exit.
        stop_timeout: seconds until the whole process group is killed instead.
        restart: ``always``; ``on-failure``, where a clean exit is final; ``never``.
        after: services that have to be ready before this one starts, and that stop later than it. Names
            that the supervisor does not know are not waited for.
        start_timeout: seconds from the start of the process to its readiness.
        give_up: starts in a row that may end without the service ever having been ready.
        log_size: bytes after which the log is rotated.
        log_keep: rotated logs that are kept, beside the current one.
        leaves: files that it leaves behind outside its folders, removed when it has ended.
    """

    name: str
    component: str
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    user: str | None = None
    ready: Probe | None = None
    live: Probe | None = None
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 10.0
    restart: Restart = "always"
    after: tuple[str, ...] = ()
    start_timeout: float = 60.0
    give_up: int = 5
    log_size: int = 10_000_000
    log_keep: int = 3
    leaves: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or not self.argv:
            raise ValueError("a service needs a name and a command")
        if self.restart not in get_args(Restart):
            raise ValueError(
                f"{self.name}: restart is one of {', '.join(get_args(Restart))}, not {self.restart}"
            )
        if self.stop_signal not in signal.Signals.__members__:
            raise ValueError(f"{self.name}: {self.stop_signal} is no signal of this system")
        object.__setattr__(self, "argv", tuple(str(word) for word in self.argv))
        object.__setattr__(self, "after", tuple(self.after))
        object.__setattr__(self, "env", dict(self.env))
        object.__setattr__(self, "cwd", Path(self.cwd))
        object.__setattr__(self, "log", Path(self.log))
        object.__setattr__(self, "leaves", tuple(Path(path) for path in self.leaves))

    def to_json(self) -> dict[str, Any]:
        """All of it, secrets too: for the socket and nothing else."""
        leaves = [str(path) for path in self.leaves]
        return {**asdict(self), "cwd": str(self.cwd), "log": str(self.log), "leaves": leaves}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ServiceSpec:
        """The specification that ``to_json`` made."""
        probes = {kind: Probe.from_json(data[kind]) for kind in ("ready", "live") if data.get(kind)}
        return cls(**{**data, **probes})


@dataclass(frozen=True, kw_only=True)
class ServiceStatus:
    """What is known of one service. Times are seconds since the epoch.

    ``asked_at``, ``started_at`` and ``ready_at`` of all services, with ``after``, give the critical chain
    of a start: asked to started is waiting for others, started to ready is its own time.
    """

    name: str
    component: str
    state: State
    since: float
    message: str = ""
    pid: int | None = None
    restarts: int = 0
    exit_code: int | None = None
    asked_at: float | None = None
    started_at: float | None = None
    ready_at: float | None = None
    after: tuple[str, ...] = ()
    log: str = ""

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return {**asdict(self), "after": list(self.after)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ServiceStatus:
        """The status that ``to_json`` made; fields of a newer version are left out."""
        known = {entry.name for entry in fields(cls)}
        found = {key: value for key, value in data.items() if key in known}
        return cls(**{**found, "after": tuple(found.get("after", ()))})


@dataclass(frozen=True, kw_only=True)
class StateChange:
    """One service went from one state to another."""

    name: str
    component: str
    old: State
    new: State
    message: str
    at: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StateChange:
        """The change that ``to_json`` made."""
        return cls(**data)
