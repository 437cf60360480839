"""A package index and a Maven repository on loopback, that can be slow, break off, or be gone."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import re
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loopback import free_port
from millpond.targets.local.installs import InstallRequest, InstallStore


class Registry:
    """Serves the files it was given; counts and remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.pause = 0.0
        self.break_after: int | None = None
        self.asked_for_file = threading.Event()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.answer(self)

            def do_HEAD(self) -> None:
                self.send_error(405)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def add_wheel(self, name: str, *, size: int = 0, tag: str = "py3-none-any", version: str = "1.0") -> str:
        """Offers a wheel of one module; returns its line for a lock."""
        data = wheel(name, version, tag, size)
        file = f"{name}-{version}-{tag}.whl"
        self.files[f"/files/{file}"] = data
        self.files[f"/simple/{name}/"] = f'<a href="/files/{file}">{file}</a>'.encode()
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"

    def add_jar(self, artifact: str, data: bytes) -> str:
        """Offers a jar; returns its line for a lock."""
        self.files[f"/org/example/{artifact}/1.0/{artifact}-1.0.jar"] = data
        return f"org.example:{artifact}:1.0 sha256:{hashlib.sha256(data).hexdigest()}\n"

    def downloads(self, suffix: str) -> list[dict[str, str]]:
        """The headers of every request for a file with this suffix."""
        return [headers for path, headers in self.requests if path.endswith(suffix)]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        data = self.files.get(handler.path)
        if data is None:
            handler.send_error(404)
            return
        is_file = handler.path.endswith((".whl", ".jar"))
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if asked and is_file:
            start = int(asked[1])
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(data) - start))
        handler.send_header("Content-Type", "application/octet-stream" if is_file else "text/html")
        handler.end_headers()
        try:
            if not is_file:
                handler.wfile.write(data)
                return
            if self.break_after is not None:
                handler.wfile.write(data[start : start + self.break_after])
                self.break_after = None
                handler.close_connection = True
                return
            for position in range(start, len(data), 65536):
                handler.wfile.write(data[position : position + 65536])
                self.asked_for_file.set()
                time.sleep(self.pause)
        except OSError:
            handler.close_connection = True

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def wheel(name: str, version: str, tag: str, size: int) -> bytes:
    """A wheel with one module and as many incompressible bytes as asked for."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}.py": f"NAME = {name!r}\ndef f(): return NAME\n".encode(),
        f"{name}.bin": random.Random(name).randbytes(size),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
    }
    record = ""
    for path, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(data)}\n"
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, data in contents.items():
            archive.writestr(path, data)
    return buffer.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    found = Registry()
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{found.url}/simple/")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("MILLPOND_MAVEN_REPOSITORY", found.url)
    yield found
    found.close()


@pytest.fixture
def store(tmp_path: Path) -> InstallStore:
    return InstallStore(tmp_path / "cache")


@pytest.fixture
def component(tmp_path: Path) -> Path:
    folder = tmp_path / "component"
    folder.mkdir()
    return folder


def pip(folder: Path, lock: str) -> InstallRequest:
    """A request for the packages of a lock."""
    (folder / "requirements.lock").write_text(lock)
    return InstallRequest("app", folder, {"pip": "requirements.lock"})


def maven(folder: Path, lock: str) -> InstallRequest:
    """A request for the jars of a lock."""
    (folder / "jars.lock").write_text(lock)
    return InstallRequest("app", folder, {"maven": "jars.lock"})


def left_in(store: InstallStore, kind: str) -> list[str]:
    """The folders of this kind, finished or not."""
    folder = store.root / kind
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


ENSURE = """
import asyncio, sys
from pathlib import Path
from millpond.targets.local.installs import InstallRequest, InstallStore
root, folder, offline = sys.argv[1:4]
request = InstallRequest("app", Path(folder), {"pip": "requirements.lock"})
install = asyncio.run(InstallStore(Path(root), offline == "offline").ensure(request))
print(install.paths["pip"])
"""
"""A process that makes an install and prints where."""


def ensure_command(store: InstallStore, folder: Path, offline: str = "online") -> list[str]:
    return [sys.executable, "-c", ENSURE, str(store.root), str(folder), offline]
