"""The controller's API on this machine, in front of a cluster's deployments, for as long as a command runs.

On a cluster there is no controller, and what looks after deployments needs the cluster's API, which is the
command's and not that of the programs that it starts. They find here what they find on one machine: the calls
of `millpond.serving.client.ServingClient`, and the models behind ``/v1/models/NAME`` and ``/v2/models/NAME``,
asked in the way of `millpond.serving.cluster.forward`. Loopback only; all but the models want a token that is
made anew each time.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

from millpond.model.errors import MillpondError
from millpond.serving.client import GRAPHS, GROUP, ServingError
from millpond.serving.cluster.deployments import ClusterDeployments

Data = dict[str, Any]

HOST = "127.0.0.1"
_LIMIT = 64 * 1024 * 1024
_KEPT = ("x-revision", "x-request-id")
_OBJECTS = re.compile(
    rf"/(?:{GROUP.removesuffix('/namespaces')}|{GRAPHS.removesuffix('/namespaces')})"
    r"(?:/namespaces/(?P<namespace>[^/]+))?/(?P<kind>inferenceservices|inferencegraphs)(?:/(?P<name>[^/]+))?\Z"
)
_MODEL = re.compile(r"/v[12]/models/(?P<name>[a-z0-9][-a-z0-9]*)(?=[/:]|\Z)")


class Front:
    """Answers for a cluster's deployments, from entering to leaving it.

    Args:
        connect: makes what looks after the deployments; called in a thread of its own, in which all calls are
            made one after the other.
    """

    def __init__(self, connect: Callable[[], ClusterDeployments]) -> None:
        self._connect = connect
        self._token = secrets.token_urlsafe(32)
        # One thread: the connections of the cluster's API belong to the loop that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="millpond-front")
        self._deployments: ClusterDeployments | None = None
        self._server = ThreadingHTTPServer((HOST, 0), _handler(self))
        self._server.daemon_threads = True

    def __enter__(self) -> Front:
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self._server.server_address[1]}"

    def environment(self, found: Mapping[str, str]) -> dict[str, str]:
        """The environment of a user's program, which then finds the deployments here.

        Monitor and gateway are left out: the one does not run on a cluster, the other's names lead there
        only where its domain does.
        """
        gone = ("MILLPOND_SERVING_MONITOR", "MILLPOND_GATEWAY_URL")
        kept = {name: value for name, value in found.items() if name not in gone}
        return {**kept, "MILLPOND_SERVING_URL": self.url, "MILLPOND_SERVING_TOKEN": self._token}

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        """The answer to one request: status, body and headers."""
        try:
            model = _MODEL.match(path)
            if model is not None and method in ("GET", "POST"):
                return self._predicted(model["name"], path, headers, body)
            given = headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise ServingError("the bearer token is missing or wrong", status=401)
            found = _OBJECTS.match(path)
            if found is None:
                raise ServingError(f"there is nothing at {path}", status=404)
            told = self._changed(method, found["kind"], unquote(found["name"] or ""), body)
            return 200, json.dumps(told).encode(), {}
        except ServingError as error:
            return error.status or 502, _failure(error), {}
        except MillpondError as error:
            return 422, _failure(error), {}
        except ValueError as error:
            return 400, _failure(MillpondError(f"the body is no JSON: {error}")), {}

    # --- inside -------------------------------------------------------------------------------------------

    def _changed(self, method: str, kind: str, name: str, body: bytes) -> Data:
        graph = kind == "inferencegraphs"
        match method, bool(name):
            case "PUT", True:
                document = json.loads(body)
                given = (document.get("metadata") or {}).get("name")
                if given != name:
                    raise ServingError(f"the path names {name}, the document {given}", status=400)
                return self._shown(
                    self._do(lambda all_: all_.apply_graph(document) if graph else all_.apply(document))
                )
            case "GET", True:
                return self._shown(self._do(lambda all_: all_.graph(name) if graph else all_.get(name)))
            case "GET", False:
                items = self._do(lambda all_: list(all_.graphs() if graph else all_.list()))
                return {"items": [self._shown(item) for item in items]}
            case "DELETE", True:
                self._do(lambda all_: all_.delete_graph(name) if graph else all_.delete(name))
                return {"status": "Success"}
        raise ServingError(f"{method} is not for {kind}", status=405)

    def _predicted(
        self, name: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        payload = json.loads(body) if body else None
        kept = {key: value for key in _KEPT if (value := headers.get(key))}
        found = self._do(lambda all_: all_.send(name, path, payload, headers=kept))
        return found.status, found.body, {k: v for k, v in found.headers.items() if k.startswith("x-")}

    def _shown(self, found: Data) -> Data:
        """What is asked for inside the cluster, asked for here."""
        status = found.get("status") or {}
        inside = (status.get("address") or {}).get("url")
        if inside is None:
            return found
        told = {**status, "url": status.get("url") or inside, "address": {"url": self.url}}
        return {**found, "status": told}

    def _do(self, call: Callable[[ClusterDeployments], Any]) -> Any:
        def done() -> Any:
            if self._deployments is None:
                self._deployments = self._connect()
            return call(self._deployments)

        return self._thread.submit(done).result()

    def _close(self) -> None:
        if self._deployments is not None:
            self._deployments.close()


def _failure(error: MillpondError) -> bytes:
    said = f"{error.message}; {error.hint}" if error.hint else error.message
    return json.dumps({"kind": "Status", "status": "Failure", "message": said}).encode()


def _handler(front: Front) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = self.headers.get("content-length") or "0"
            if not length.isdecimal() or int(length) > _LIMIT:
                self.close_connection = True
                self._send(413, json.dumps({"message": f"a body has at most {_LIMIT} bytes"}).encode(), {})
                return
            body = self.rfile.read(int(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(*front.answer(self.command, urlsplit(self.path).path, headers, body))

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "content-type": "application/json"}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            """Say nothing: the command's own view tells what goes on."""

    return Handler
