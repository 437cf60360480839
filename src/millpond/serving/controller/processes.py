"""A revision's processes: their command for the platform's supervisor, and the ports that are free."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

from millpond.model.errors import MillpondError
from millpond.serving.controller.store import Replica, Revision
from millpond.targets.local.supervisor.client import Supervisor
from millpond.targets.local.supervisor.spec import Probe, ServiceSpec

HOST = "127.0.0.1"
COMPONENT = os.environ.get("MILLPOND_COMPONENT", "serving")
"""The component of the platform that the model servers count to, whatever the flavour calls it."""
START_SECONDS = 180.0


class Processes(Protocol):
    """What the controller asks of whoever keeps processes running."""

    async def start(self, spec: ServiceSpec) -> None:
        """Have the service run, without waiting for it."""

    async def run(self, spec: ServiceSpec) -> None:
        """Have the service run and be ready; raises a MillpondError when it will not be."""

    async def end(self, name: str) -> None:
        """Stop a service and forget it; no error if it is not known."""

    async def states(self) -> dict[str, str]:
        """The state of every service of this component."""

    def changes(self) -> AsyncIterator[tuple[str, str]]:
        """Services with their new states, as they happen; ends when nobody can tell any more."""


class SupervisedProcesses:
    """The platform's supervisor, reached through its run directory."""

    def __init__(self, run: Path) -> None:
        self._supervisor = Supervisor(run)

    async def start(self, spec: ServiceSpec) -> None:
        """Start the service unless it runs."""
        await self._supervisor.start(spec)

    async def run(self, spec: ServiceSpec) -> None:
        """Start the service unless it runs, and wait until it is ready.

        Raises:
            MillpondError: it failed, with its last log lines as details.
        """
        await self._supervisor.start(spec)
        await self._supervisor.ready(spec.name, timeout=spec.start_timeout + 5)

    async def end(self, name: str) -> None:
        """Stop a service gracefully and forget it."""
        if name in await self.states():
            await self._supervisor.stop(name)
            await self._supervisor.remove(name)

    async def states(self) -> dict[str, str]:
        """The states of the model servers that the supervisor knows."""
        return {
            status.name: status.state
            for status in await self._supervisor.status()
            if status.component == COMPONENT and status.name.startswith("serving-")
        }

    async def changes(self) -> AsyncIterator[tuple[str, str]]:
        """The model servers' changes of state."""
        async with aclosing(self._supervisor.events()) as stream:
            async for change in stream:
                if change.component == COMPONENT and change.name.startswith("serving-"):
                    yield change.name, change.new


def service_of(
    revision: Revision,
    replica: Replica,
    deployment: str,
    namespace: str,
    *,
    folder: Path,
    logs: Path,
    predictions: Path,
    python: Path | None = None,
    environment: dict[str, str] | None = None,
) -> ServiceSpec:
    """The process of one replica; the same replica always gives the same specification.

    Args:
        revision: what it serves, with the settings of the document.
        replica: which of its processes.
        deployment, namespace: what it is part of.
        folder: the model's files.
        logs: where its log goes.
        predictions: where its predictions are noted.
        python: the interpreter of the model's own environment; by default the one that runs here.
        environment: variables that this environment needs.
    """
    python = python or Path(sys.executable)
    settings = revision.settings
    found = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "PYTHONUNBUFFERED": "1",
        **(environment or {}),
        **settings.get("env", {}),
    }
    name = revision.service(replica)
    return ServiceSpec(
        name=name,
        component=COMPONENT,
        argv=(
            *(str(python), "-m", "millpond.serving.server"),
            *("--model-dir", str(folder), "--name", deployment, "--namespace", namespace),
            *("--version", revision.version or str(revision.number), "--revision", revision.name),
            *("--host", HOST, "--port", str(replica.port), "--grpc-port", str(replica.grpc_port)),
            *("--format", settings.get("format", "mlflow"), "--log-dir", str(predictions)),
            *_options(settings),
        ),
        env=found,
        cwd=folder,
        log=logs / f"{name}.log",
        ready=Probe(http=f"http://{HOST}:{replica.port}/v2/health/ready"),
        live=Probe(http=f"http://{HOST}:{replica.port}/v2/health/live", timeout=10.0),
        stop_timeout=35.0,
        start_timeout=START_SECONDS,
        give_up=2,
    )


def _options(settings: dict[str, object]) -> list[str]:
    known = ("batch", "batch_wait", "timeout", "memory", "transformer", "explainer", "compile")
    found = []
    for key in known:
        if settings.get(key) is not None:
            found += [f"--{key.replace('_', '-')}", str(settings[key])]
    return found


def free_port(ports: Iterable[int], taken: set[int]) -> int:
    """The first port that no revision has and nothing listens on.

    Raises:
        MillpondError: there is none left.
    """
    for port in ports:
        if port not in taken and can_listen(port):
            return port
    raise MillpondError("no port is left for another model server", hint="widen the controller's --ports")


def can_listen(port: int) -> bool:
    """Whether a server could have the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
