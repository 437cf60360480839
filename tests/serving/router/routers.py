"""A router process, step servers and a controller's wake path, for the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from loopback import free_port
from model_servers import Answer, ask, service_environment

TOKEN = "a-token"


@dataclass
class Seen:
    """A request that a server got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


Handler = Callable[[Seen], Any]
"""What a server answers: a value for JSON, bytes, a (status, value), or a (status, value, headers)."""


@dataclass
class Server:
    """An HTTP/1.1 server in a thread."""

    handler: Handler
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    broken: int = 0

    def __post_init__(self) -> None:
        outer = self

        class Request(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 65536  # head and body in one packet

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, body)
                outer.seen.append(seen)
                given = outer.handler(seen)
                if given is None:  # hang up without an answer
                    self.close_connection = True
                    return
                status, value, more = 200, given, {}
                if isinstance(given, tuple):
                    status, value, more = (*given, {})[:3]
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                kind = {} if isinstance(value, bytes) else {"content-type": "application/json"}
                length = {} if "transfer-encoding" in more else {"content-length": str(len(data))}
                for name, text in {**kind, **length, **more}.items():
                    self.send_header(name, text)
                self.end_headers()
                try:
                    self.wfile.write(data)
                except OSError:
                    outer.broken += 1

            do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the base class's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                """Silence."""

        class Threads(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 512

        self._server = Threads(("127.0.0.1", free_port()), Request)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()


class Router:
    """One ``python -m millpond.serving.router``."""

    def __init__(
        self,
        python: Path,
        folder: Path,
        *options: str,
        controller: str | None = None,
        port: int | None = None,
        **environment: str,
    ) -> None:
        self.port = port or free_port()
        self.folder = folder
        self._log = folder / "router.log"
        self._graphs = folder / "router/graphs"
        self._graphs.mkdir(parents=True, exist_ok=True)
        env = {
            **service_environment(),
            "MILLPOND_SERVING_TOKEN": TOKEN,
            "MILLPOND_LOG": "info",
            **environment,
        }
        if controller is not None:
            env["MILLPOND_SERVING_URL"] = controller
        command = [
            str(python),
            "-m",
            "millpond.serving.router",
            "--port",
            str(self.port),
            "--data",
            str(folder),
        ]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *options], stdout=log, stderr=log, env=env, start_new_session=True
            )

    def wait_ready(self) -> Router:
        """Wait until it answers."""
        deadline = time.monotonic() + 30
        while True:
            assert self.process.poll() is None and time.monotonic() < deadline, self.log
            try:
                if ask(self.port, "/healthz").status == 200:
                    return self
            except OSError:
                time.sleep(0.02)

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()

    def graph(
        self, name: str, nodes: dict[str, Any], services: dict[str, str] | None = None, **spec: Any
    ) -> None:
        """Write a graph's file as the controller does."""
        annotations = spec.pop("annotations", {})
        document = {
            "apiVersion": "serving.kserve.io/v1alpha1",
            "kind": "InferenceGraph",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {"nodes": nodes, **spec},
        }
        temporary = self._graphs / f".{name}.tmp"
        temporary.write_text(json.dumps({"document": document, "services": services or {}}))
        temporary.rename(self._graphs / f"{name}.json")

    def ask(
        self,
        name: str | None,
        body: Any = None,
        path: str = "/",
        headers: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """A request to a graph or model by its host, or to the router itself."""
        host = {"Host": f"{name}.localhost:{self.port}"} if name else {}
        return ask(self.port, path, body, headers={**host, **(headers or {})}, **more)

    def metric(self, start: str) -> float:
        """A metric's value, 0 when it is not there."""
        lines = self.ask(None, path="/metrics").body.decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(start)), 0.0)

    def stop(self) -> int:
        """Stop it; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.kill(self.process.pid, signal.SIGKILL)
            return self.process.wait()


def unused_address() -> str:
    """An address where nobody listens."""
    with socket.socket() as probe:
        port = free_port()
        probe.bind(("127.0.0.1", port))
    return f"127.0.0.1:{port}"


def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)
