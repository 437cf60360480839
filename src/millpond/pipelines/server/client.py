"""Calls to the API of the component `pipelines`, from wherever they are made. Standard library only.

A name below ``localhost`` is this machine for browsers and curl, and unknown to many resolvers: such a host
is called on the loopback address.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from millpond.model.errors import MillpondError, UsageError

BY = "millpond-pipelines"
"""What every JSON answer of the API says it is by."""
_TIMEOUT = 60.0
_SENDING = 600.0
_PATIENCE = 60.0
"""Seconds for which a run that is waited for may be out of sight."""
_POLL = (0.3, 2.0)


class ServiceError(MillpondError):
    """The service refused, or was not reached; `status` is HTTP's, 0 where nothing answered."""

    def __init__(self, message: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class PipelineService:
    """The component's API.

    Args:
        endpoint: its address, such as ``https://pipelines.example.org``.
        authorization: the header of that name, secret; see `bearer` and `basic`.
    """

    def __init__(self, endpoint: str, authorization: str) -> None:
        parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{endpoint} is no address of a platform", hint="such as https://pipelines.example.org"
            )
        if parts.username or parts.password:
            raise UsageError(
                "the endpoint has a name or password in it",
                hint="a token goes by MILLPOND_TOKEN or --token-file",
            )
        self.endpoint = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        self._host = parts.netloc
        self._base = self.endpoint
        local = parts.hostname == "localhost" or parts.hostname.endswith(".localhost")
        if local:
            port = f":{parts.port}" if parts.port else ""
            self._base = urlunsplit((parts.scheme, f"127.0.0.1{port}", parts.path.rstrip("/"), "", ""))
        self._authorization = authorization
        # The loopback address is not reached through a proxy, whatever the environment says.
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        handlers += [urllib.request.ProxyHandler({})] if local or parts.hostname == "127.0.0.1" else []
        self._opener = urllib.request.build_opener(*handlers)

    # Runs

    def submit(self, archive: bytes, submission: Mapping[str, Any]) -> dict[str, Any]:
        """Send a pipeline's folder, and run it; gives the run as the API tells it.

        Args:
            archive: as `millpond.pipelines.bundle.pack` makes it.
            submission: ``file``, ``parameters``, ``version``, ``dirty``, ``experiment``, ``once``.
        """
        return self._json("POST", "/runs", {**submission, "code": self.send(archive)})

    def send(self, archive: bytes) -> str:
        """Send an archive, unless it is there; gives its digest."""
        digest = hashlib.sha256(archive).hexdigest()
        if not self._json("GET", f"/code/{digest}")["known"]:
            self._json("PUT", f"/code/{digest}", archive, timeout=_SENDING)
        return digest

    def run(self, run: str) -> dict[str, Any]:
        """How a run goes."""
        return self._json("GET", f"/runs/{quote(run, safe='')}")

    def log(self, run: str, step: str) -> str:
        """What a step printed."""
        path = f"/runs/{quote(run, safe='')}/steps/{quote(step, safe='')}/log"
        return self._call("GET", path).decode(errors="replace")

    def cancel(self, run: str) -> None:
        """Stop a run."""
        self._json("POST", f"/runs/{quote(run, safe='')}/cancel", {})

    def watch(self, run: str) -> Iterator[dict[str, Any]]:
        """A run as it changes, until it is over; a connection that breaks off is made anew for a minute.

        Raises:
            ServiceError: the service refuses, or was out of sight for too long.
        """
        pause, seen = _POLL[0], time.monotonic()
        before: dict[str, Any] = {}
        while True:
            try:
                view = self.run(run)
            except ServiceError as error:
                if error.status not in (0, 502, 503, 504) or time.monotonic() - seen > _PATIENCE:
                    raise
            else:
                seen = time.monotonic()
                if view != before:
                    before, pause = view, _POLL[0]
                    yield view
                if view["over"]:
                    return
            time.sleep(pause)
            pause = min(_POLL[1], pause * 1.2)

    # Pipelines

    def deploy(self, name: str, deployment: Mapping[str, Any]) -> dict[str, Any]:
        """Hand a version over whose code was sent."""
        return self._json("PUT", f"/pipelines/{quote(name, safe='')}", deployment)

    def pipeline(self, name: str) -> dict[str, Any]:
        """What was handed over under a name."""
        return self._json("GET", f"/pipelines/{quote(name, safe='')}")

    def start(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Run what was handed over."""
        return self._json("POST", f"/pipelines/{quote(name, safe='')}/runs", {"parameters": dict(parameters)})

    def withdraw(self, name: str) -> None:
        """Have a pipeline forgotten, with its schedule and triggers."""
        self._json("DELETE", f"/pipelines/{quote(name, safe='')}")

    # Tokens

    def mint(self, name: str, pipelines: list[str], days: float | None) -> str:
        """A new token."""
        body = {"name": name, "pipelines": pipelines, "days": days}
        return str(self._json("POST", "/tokens", body)["token"])

    def tokens(self) -> list[dict[str, Any]]:
        """What is known of all tokens."""
        found: list[dict[str, Any]] = self._json("GET", "/tokens")["tokens"]
        return found

    def revoke(self, name: str) -> None:
        """Make a token worthless."""
        self._json("DELETE", f"/tokens/{quote(name, safe='')}")

    def _json(self, method: str, path: str, body: Any = None, *, timeout: float = _TIMEOUT) -> dict[str, Any]:
        answer = self._call(method, path, body, timeout=timeout)
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("by") != BY:
            raise self._elsewhere(200)
        return found

    def _call(self, method: str, path: str, body: Any = None, *, timeout: float = _TIMEOUT) -> bytes:
        headers = {"Host": self._host, "Authorization": self._authorization, "Accept": "application/json"}
        if isinstance(body, bytes):
            data: bytes | None = body
            headers["Content-Type"] = "application/zip"
        else:
            data = None if body is None else json.dumps(body, default=str).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self._base}/api/v1{path}", data, headers, method=method)
        try:
            with self._opener.open(request, timeout=timeout) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                raise self._refusal(error.code, error.read()) from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ServiceError(
                f"nothing answers at {self.endpoint}: {_reason(error)}",
                0,
                "is the platform up, and reachable from here? --endpoint or MILLPOND_ENDPOINT names it",
            ) from None

    def _refusal(self, status: int, body: bytes) -> ServiceError:
        try:
            found = json.loads(body)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("by") != BY:
            if status in (502, 503, 504):
                return ServiceError(
                    f"the platform at {self.endpoint} does not run pipelines at the moment ({status})",
                    status,
                    "on its machine, `millpond status` shows how the component pipelines is",
                )
            if status == 413:
                return ServiceError(f"{self.endpoint} takes no body of this size", status)
            return self._elsewhere(status)
        hint = found.get("hint")
        if status == 401:
            hint = "`millpond token list` on the platform shows which are good, `token create` makes one"
        return ServiceError(str(found.get("error")), status, hint)

    def _elsewhere(self, status: int) -> ServiceError:
        return ServiceError(
            f"what answers at {self.endpoint} takes no pipelines ({status})",
            status or 404,
            "the endpoint is the address of the component pipelines, such as "
            "http://pipelines.localhost:8080; `millpond status` shows it",
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """An API does not lead elsewhere: a sign-in page is no answer, and the token is for this host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def bearer(token: str) -> str:
    """The header for a token."""
    return f"Bearer {token}"


def basic(username: str, password: str) -> str:
    """The header for a name and password."""
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {cause.verify_message}"
    if isinstance(cause, socket.gaierror):
        return "no machine has this name"
    if isinstance(cause, TimeoutError):
        return "it took too long"
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)
