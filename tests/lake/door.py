"""A door before the store: it lets so many parts of uploads through, holds the others, and counts.

It stands in for a network that stalls, where a test must know what has arrived and what has not. All that
passes is the store's own.
"""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

_HOP = ("connection", "expect", "transfer-encoding", "content-length", "keep-alive")


class Door:
    """Passes requests on to a store.

    Args:
        address: of the store.
        parts: how many parts pass before the door holds what else comes.
    """

    def __init__(self, address: str, parts: int) -> None:
        self._store = urlsplit(address).netloc
        self._lock = threading.Lock()
        self._left = parts
        self._slammed = threading.Event()
        self.passed = 0
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                if "partNumber=" in self.path and not door._passes():
                    door._slammed.wait(60)
                    self.close_connection = True
                    return
                door._forward(self)

            def log_message(self, *arguments: object) -> None:
                """Nobody reads it."""

        for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
            setattr(Handler, f"do_{method}", Handler.handle_any)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *why: object) -> None:
        self.slam()
        self._server.shutdown()
        self._server.server_close()

    def slam(self) -> None:
        """Close the connections of what is held, and of every further part."""
        self._slammed.set()

    def open(self) -> None:
        """Let everything through from now on, counted from nought."""
        with self._lock:
            self._left, self.passed = 1_000_000, 0

    def _passes(self) -> bool:
        with self._lock:
            passes = self._left > 0
            self._left -= passes
            self.passed += passes
            return passes

    def _forward(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        store = http.client.HTTPConnection(self._store, timeout=60)
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in _HOP}
        store.request(asked.command, asked.path, body or None, headers)
        answer = store.getresponse()
        data = answer.read()
        asked.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                asked.send_header(name, value)
        length = answer.headers.get("Content-Length") if asked.command == "HEAD" else str(len(data))
        asked.send_header("Content-Length", length or "0")
        asked.end_headers()
        asked.wfile.write(data)
        store.close()
