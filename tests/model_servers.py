"""Model servers as processes, for the tests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loopback import free_port

SOURCE = Path(__file__).parent.parent / "src"


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body; numbers that are no JSON are an error."""
        return json.loads(self.body, parse_constant=_no_json)

    @property
    def error(self) -> str:
        """The sentence of an error answer."""
        found = self.json
        assert list(found) == ["error"], found
        assert "Traceback" not in found["error"] and "\n" not in found["error"]
        return str(found["error"])


def _no_json(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def ask(
    port: int,
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    """One request to a loopback port; a body that is not bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method or ("GET" if body is None else "POST"), path, data, headers or {})
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def service_environment() -> dict[str, str]:
    """The environment that a service of Millpond runs in, without this process's own Python settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MILLPOND"))}
    return {**kept, "PYTHONPATH": str(SOURCE), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}


class ModelServer:
    """One ``python -m millpond.serving.server``."""

    def __init__(self, python: Path, model: Path, name: str, log: Path, *options: str) -> None:
        self.name = name
        self.port = free_port()
        self.grpc_port = free_port()
        self.log = log
        self._command = [
            *(str(python), "-m", "millpond.serving.server", "--model-dir", str(model)),
            *("--name", name, "--version", "3", "--port", str(self.port)),
            *("--grpc-port", str(self.grpc_port), *options),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process; does not wait."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=service_environment(), start_new_session=True
            )

    def wait_live(self, timeout: float = 60) -> None:
        """Wait until the process answers, be the model loaded or not."""
        self._wait("/v2/health/live", timeout)

    def wait_ready(self, timeout: float = 60) -> None:
        """Wait until the model answers."""
        self._wait("/v2/health/ready", timeout)

    def _wait(self, path: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            assert self.process is not None and self.process.poll() is None, self.log.read_text()
            try:
                if self.ask(path).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{self.name} is not ready: {self.log.read_text()}")

    def ask(self, path: str, body: Any = None, **options: Any) -> Answer:
        """One request."""
        return ask(self.port, path, body, **options)

    def infer(self, *inputs: dict[str, Any], **more: Any) -> Answer:
        """A V2 prediction."""
        return self.ask(f"/v2/models/{self.name}/infer", {"inputs": list(inputs), **more})

    def predict(self, body: Any) -> Answer:
        """A V1 prediction."""
        return self.ask(f"/v1/models/{self.name}:predict", body)

    def stop(self) -> int | None:
        """Stop gracefully; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def start_together(servers: list[ModelServer]) -> None:
    """Start all at once, and wait for each."""
    for server in servers:
        server.start()
    for server in servers:
        server.wait_ready()
