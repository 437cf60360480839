"""A supervisor, a serving controller and what stands beside it: as much of a platform as serving needs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from loopback import free_port
from millpond.serving.client import ServingClient, ServingError
from millpond.targets.local.supervisor import blocking
from model_servers import ask, service_environment

TOKEN = "a-token"


class ServingPlatform:
    """Everything lives in one folder and is gone after `down`."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        environment: dict[str, str] | None = None,
        parts: tuple[str, ...] = (),
    ) -> None:
        self._parts = parts
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._python = python
        self._folder = folder
        self._run = folder / "run"
        self.port = free_port()
        self.ports = _range()
        self.controller: subprocess.Popen[bytes] | None = None
        self.log = folder / "controller.log"
        self.environment = {
            **service_environment(),
            "MILLPOND_SERVING_TOKEN": TOKEN,
            "MILLPOND_RUN_DIR": str(self._run),
            "MILLPOND_SERVING_DATA": str(folder / "data"),
            "MILLPOND_SERVING_PORTS": self.ports,
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            **(environment or {}),
        }
        gateway = self.environment.get("MILLPOND_GATEWAY_URL")
        url = f"http://127.0.0.1:{self.port}"
        self.ports_of = {part: free_port() for part in parts}
        for part, port in self.ports_of.items():
            self.environment[f"MILLPOND_{part.upper()}_PORT"] = str(port)
        self.environment["MILLPOND_SERVING_URL"] = url
        monitor = f"http://127.0.0.1:{self.ports_of['monitor']}" if "monitor" in parts else None
        self.client = ServingClient(url, TOKEN, gateway, monitor=monitor)

    def up(self) -> None:
        """Start what is not running, and wait until the controller answers."""
        self._run.mkdir(mode=0o700, exist_ok=True)
        blocking.ensure(self._run)
        with self.log.open("ab") as log:
            self.controller = subprocess.Popen(
                [str(self._python), "-m", "millpond.serving.controller", "--port", str(self.port)],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self._folder,  # where an MLflow without a server keeps its runs
                start_new_session=True,
            )
        for part in self._parts:
            if part not in self._running or self._running[part].poll() is not None:
                self._running[part] = self._start(part)
        deadline = time.monotonic() + 30
        while True:
            assert self.controller.poll() is None, self.log.read_text()
            with suppress(ServingError, OSError):
                self.client.list()
                assert all(ask(port, "/healthz").status == 200 for port in self.ports_of.values())
                return
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def _start(self, part: str) -> subprocess.Popen[bytes]:
        data = ["--data", str(self._folder / "data")] if part == "router" else []
        with (self._folder / f"{part}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(str(self._python), "-m", f"millpond.serving.{part}"),
                    *("--port", str(self.ports_of[part]), *data),
                ],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self._folder,  # where an MLflow without a server keeps its runs
                start_new_session=True,
            )

    def kill_controller(self) -> None:
        """End the controller at once, as a crash does."""
        if self.controller is not None:
            self.controller.kill()
            self.controller.wait()

    def down(self) -> None:
        """Stop everything."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(40)
        if self.controller is not None and self.controller.poll() is None:
            self.controller.terminate()
            self.controller.wait(15)
        blocking.BlockingSupervisor(self._run).shutdown()

    def services(self) -> dict[str, str]:
        """The states of the model servers that run."""
        found = blocking.BlockingSupervisor(self._run).status()
        return {item.name: item.state for item in found if item.state not in ("stopped", "failed")}

    def pid(self, service: str) -> int:
        """The process of a model server."""
        found = blocking.BlockingSupervisor(self._run).status()
        return next(item.pid for item in found if item.name == service and item.pid is not None)

    def wait_ready(self, name: str, timeout: float = 60) -> dict[str, Any]:
        """The deployment, once it is ready."""
        deadline = time.monotonic() + timeout
        while True:
            found = self.client.get(name)
            if found["status"]["conditions"] and found["status"]["conditions"][-1]["status"] == "True":
                return found
            assert time.monotonic() < deadline, (found, self.log.read_text())
            time.sleep(0.1)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for what has to come."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.1)


def _range() -> str:
    for first in range(26000, 32000, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", first))
            except OSError:
                continue
        return f"{first}-{first + 49}"
    raise AssertionError("no ports are free")


def document(name: str, uri: str | Path, /, **env: str) -> dict[str, Any]:
    """An InferenceService."""
    model: dict[str, Any] = {"modelFormat": {"name": "mlflow"}, "storageUri": str(uri)}
    if env:
        model["env"] = [{"name": key, "value": value} for key, value in env.items()]
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name},
        "spec": {"predictor": {"model": model}},
    }
