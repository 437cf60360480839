"""A real Envoy with its real agent to test on, and an upstream that tells what it was sent."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from loopback import free_port
from millpond.gateway.client import GatewayClient

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "src/millpond/catalogue/components/gateway/requirements.lock"
USER, PASSWORD, TOKEN = "miller", "a wheel, a pond: grist", "token-of-the-tests"


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was sent; /slow waits, /count reads a body of any size, an upgrade is echoed."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one piece, or Nagle's algorithm waits 40 ms between them

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.headers.get("upgrade", "").lower() == "websocket":
            self.upgrade()
            return
        size = 0
        left = int(self.headers.get("content-length") or 0)
        body = b""
        while left:
            chunk = self.rfile.read(min(left, 1 << 20))
            left -= len(chunk)
            size += len(chunk)
            body = body or chunk[:1000]
        self.server.sizes.append(size)  # type: ignore[attr-defined]
        self.server.seen.append(self.headers)  # type: ignore[attr-defined]
        if self.path.startswith("/slow"):
            time.sleep(1.0)
        found = {
            "upstream": self.server.name,  # type: ignore[attr-defined]
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "size": size,
        }
        answer = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def upgrade(self) -> None:
        key = self.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            + f"sec-websocket-accept: {accept}\r\n\r\n".encode()
        )
        self.wfile.flush()
        self.wfile.write(self.rfile.read(5))  # the bytes of the tunnel, not frames
        self.close_connection = True


class Upstream(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", free_port()), Echo)
        self.name = name
        self.seen: list[Message] = []
        self.sizes: list[int] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class Gateway:
    """Starts and stops the two processes; talks to them."""

    def __init__(self, python: Path, folder: Path, files: int | None = None) -> None:
        self.python = python
        self.folder = folder
        self.files = files
        self.port = free_port()
        self.api_port = free_port()
        self.api = f"http://127.0.0.1:{self.api_port}"
        self.client = GatewayClient(self.api, TOKEN, f"http://localhost:{self.port}")
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "src"),
            "MILLPOND_GATEWAY_TOKEN": TOKEN,
            "MILLPOND_GATEWAY_USER": USER,
            "MILLPOND_GATEWAY_PASSWORD": PASSWORD,
            "MILLPOND_GATEWAY_ACCESS_LOG": "true",
        }
        self.agent: subprocess.Popen[bytes] | None = None
        self.envoy: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.start_agent()
        self.start_envoy()
        self.wait()

    def command(self, name: str) -> list[str]:
        return [
            *(str(self.python), "-m", "millpond.gateway.agent", name, "--data", str(self.folder / "data")),
            *("--port", str(self.port), "--api-port", str(self.api_port)),
        ]

    def prepare(self) -> None:
        subprocess.run(self.command("prepare"), env=self.environment, check=True, timeout=30)

    def start_envoy(self) -> None:
        with (self.folder / "envoy.log").open("ab") as log:
            self.envoy = subprocess.Popen(
                [
                    str(self.python.with_name("envoy")),
                    *("-c", str(self.folder / "data/envoy.json")),
                    *("--concurrency", "1", "--disable-hot-restart", "-l", "warning"),
                    *("--file-flush-interval-msec", "100"),
                ],
                stdout=log,
                stderr=log,
                preexec_fn=self.limit,
            )

    def start_agent(self) -> None:
        with (self.folder / "agent.log").open("ab") as log:
            self.agent = subprocess.Popen(
                self.command("run"), env=self.environment, stdout=log, stderr=log, preexec_fn=self.limit
            )
        self.wait("alive")

    def limit(self) -> None:
        """In the child: what the system lets it open."""
        if self.files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    def wait(self, state: str = "ready") -> None:
        def reached() -> bool:
            try:
                return requests.get(f"{self.api}/{state}", timeout=2).status_code == 200
            except requests.ConnectionError:
                return False

        wait_until(reached, 20, f"the gateway is {state}")

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        process = getattr(self, name)
        if process is not None:
            process.send_signal(how)
            process.wait(10)
            setattr(self, name, None)

    def stop(self) -> None:
        self.kill("envoy", signal.SIGTERM)
        self.kill("agent", signal.SIGTERM)

    def origin(self, host: str) -> str:
        return (
            f"http://{host}.localhost:{self.port}" if host != "localhost" else f"http://localhost:{self.port}"
        )

    def request(
        self,
        host: str,
        path: str = "/",
        method: str = "GET",
        *,
        session: requests.Session | None = None,
        **options,
    ) -> requests.Response:
        """Ask for a host by its header: the system's resolver may not know ``*.localhost``."""
        headers = {"host": self.origin(host).removeprefix("http://"), **options.pop("headers", {})}
        options.setdefault("allow_redirects", False)
        options.setdefault("timeout", 10)
        ask = session.request if session else requests.request
        return ask(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **options)
