"""The serving controller's and the deployments' client; standard library only, for any environment.

The calls and bodies are those of the Kubernetes API for KServe's ``InferenceService``.
"""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from millpond.model.errors import MillpondError

GROUP = "apis/serving.kserve.io/v1beta1/namespaces"
GRAPHS = "apis/serving.kserve.io/v1alpha1/namespaces"


class ServingError(MillpondError):
    """The controller or a model said no, or did not answer; ``status`` is the HTTP status, else 0."""

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True)
class Answer:
    """What a deployment or a graph answered; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's data.

        Raises:
            ServingError: it is no JSON.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise ServingError(f"the answer {self.status} is no JSON", status=self.status) from None


class ServingClient:
    """Applies, reads and deletes deployments, and asks them for predictions.

    Args:
        url: base URL of the controller.
        token: its bearer token.
        gateway: public base URL of the gateway, ``http://localhost:PORT``; None when there is none.
        timeout: seconds to wait for one answer.
        monitor: base URL of the monitor, which knows what was predicted; None when there is none.
    """

    def __init__(
        self,
        url: str,
        token: str,
        gateway: str | None = None,
        timeout: float = 60.0,
        monitor: str | None = None,
    ) -> None:
        self._monitor = monitor.rstrip("/") if monitor else None
        self._url = url.rstrip("/")
        self._token = token
        self._gateway = gateway
        self._timeout = timeout
        # The loopback address is not reached through a proxy, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> ServingClient:
        """From ``MILLPOND_SERVING_URL``, ``_TOKEN`` and, if set, ``_MONITOR`` and ``MILLPOND_GATEWAY_URL``.

        Raises:
            ServingError: one of the first two is missing.
        """
        found = os.environ if environment is None else environment
        missing = [n for n in ("MILLPOND_SERVING_URL", "MILLPOND_SERVING_TOKEN") if not found.get(n)]
        if missing:
            raise ServingError(
                f"no model serving is known here: {', '.join(missing)} not set",
                hint="is the platform up? millpond up",
            )
        gateway = found.get("MILLPOND_GATEWAY_URL") or None
        monitor = found.get("MILLPOND_SERVING_MONITOR") or None
        return cls(found["MILLPOND_SERVING_URL"], found["MILLPOND_SERVING_TOKEN"], gateway, monitor=monitor)

    def apply(self, document: Mapping[str, Any], wait: float | None = None) -> dict[str, Any]:
        """Create or replace a deployment; with `wait`, return when it serves what the document says.

        Args:
            document: an ``InferenceService``.
            wait: seconds until it has to be ready.

        Raises:
            ServingError: the document is refused; or, with `wait`, the new revision failed (the one before
                keeps serving) or was not ready in time.
        """
        metadata = document.get("metadata") or {}
        name = str(metadata.get("name", ""))
        namespace = str(metadata.get("namespace") or "default")
        found = self._call("PUT", self._path(namespace, name), dict(document))
        return found if wait is None else self._settled(found, namespace, wait)

    def get(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """One deployment with its status.

        Raises:
            ServingError: there is none (status 404), or no answer.
        """
        return self._call("GET", self._path(namespace, name))

    def list(self, namespace: str | None = "default") -> list[dict[str, Any]]:
        """All deployments of a namespace, or of all where it is None, by name."""
        items: list[dict[str, Any]] = self._call("GET", self._path(namespace))["items"]
        return items

    def delete(self, name: str, namespace: str = "default") -> None:
        """Stop a deployment and forget it; returns when nothing of it runs.

        Raises:
            ServingError: there is none (status 404), or no answer.
        """
        self._call("DELETE", self._path(namespace, name))

    def apply_graph(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Create or replace an ``InferenceGraph``; it answers when this returns.

        Raises:
            ServingError: the document is refused.
        """
        metadata = document.get("metadata") or {}
        namespace = str(metadata.get("namespace") or "default")
        return self._call(
            "PUT", self._path(namespace, str(metadata.get("name", "")), graph=True), dict(document)
        )

    def graph(self, name: str, namespace: str = "default") -> dict[str, Any]:
        """One graph with its status.

        Raises:
            ServingError: there is none (status 404), or no answer.
        """
        return self._call("GET", self._path(namespace, name, graph=True))

    def graphs(self, namespace: str | None = "default") -> Sequence[dict[str, Any]]:
        """All graphs of a namespace, or of all where it is None, by name."""
        items: Sequence[dict[str, Any]] = self._call("GET", self._path(namespace, graph=True))["items"]
        return items

    def delete_graph(self, name: str, namespace: str = "default") -> None:
        """Forget a graph.

        Raises:
            ServingError: there is none (status 404), or no answer.
        """
        self._call("DELETE", self._path(namespace, name, graph=True))

    def measured(self, name: str, what: str, **query: object) -> dict[str, Any]:
        """What the monitor knows of a deployment's predictions.

        Args:
            name: the deployment.
            what: ``window``, ``compare``, ``experiment``, ``drift`` or ``quality``.
            query: what the monitor takes beside it, as times in seconds since 1970 or names of revisions.

        Raises:
            ServingError: there is no monitor, or it says no.
        """
        asked = urlencode({key: str(value) for key, value in query.items() if value is not None})
        found: dict[str, Any] = json.loads(self._from_monitor(name, f"{what}?{asked}"))
        return found

    def page(self, name: str, what: str = "report", **query: object) -> bytes:
        """A page or picture of the monitor's: ``report`` (HTML) or ``compare.svg``.

        Raises:
            ServingError: there is no monitor, or it says no.
        """
        asked = urlencode({key: str(value) for key, value in query.items() if value is not None})
        return self._from_monitor(name, f"{what}?{asked}")

    def _from_monitor(self, name: str, what: str) -> bytes:
        if self._monitor is None:
            raise ServingError(
                "no monitor is known here: MILLPOND_SERVING_MONITOR not set",
                hint="is the platform up? millpond up",
            )
        request = urllib.request.Request(
            f"{self._monitor}/deployments/{quote(name, safe='')}/{what}",
            headers={"authorization": f"Bearer {self._token}"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None
        except OSError as error:
            raise ServingError(
                f"the monitor does not answer: {getattr(error, 'reason', error)}", hint="millpond status"
            ) from error

    def predict(
        self,
        name: str,
        payload: Any,
        *,
        protocol: str = "v2",
        namespace: str = "default",
        gateway: bool | None = None,
    ) -> dict[str, Any]:
        """One prediction.

        Args:
            name: the deployment.
            payload: the body that the protocol wants.
            protocol: ``v2`` or ``v1``.
            namespace: the deployment's.
            gateway: through the gateway or not; by default through it when its URL is known.

        Raises:
            ServingError: with the model's own sentence and status, or when nothing answers.
        """
        path = f"/v2/models/{name}/infer" if protocol == "v2" else f"/v1/models/{name}:predict"
        found: dict[str, Any] = self.send(name, path, payload, namespace=namespace, gateway=gateway).json()
        return found

    def send(
        self,
        name: str,
        path: str,
        payload: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        namespace: str = "default",
        gateway: bool | None = None,
    ) -> Answer:
        """One request to a deployment or, through the gateway, to a graph.

        Args:
            name: the deployment or graph.
            path: of the request.
            payload: its JSON body; None asks with GET.
            headers: more headers.
            namespace: the deployment's.
            gateway: through the gateway or not; by default through it when its URL is known.

        Raises:
            ServingError: with the sentence and status of an answer from 400 on, or when nothing answers.
        """
        if gateway or (gateway is None and self._gateway):
            if not self._gateway:
                raise ServingError("no gateway is known here: MILLPOND_GATEWAY_URL not set")
            # *.localhost does not resolve in every libc: the address is the gateway's, the name a header.
            port = urlsplit(self._gateway).port or 80
            host = {**(headers or {}), "host": f"{name}.localhost:{port}"}
            return _ask("127.0.0.1", port, path, payload, self._timeout, host)
        for attempt in (1, 2):
            address = (self.get(name, namespace).get("status") or {}).get("address") or {}
            url = urlsplit(str(address.get("url", "")))
            if not url.hostname or not url.port:
                raise ServingError(
                    f"deployment {name} is not ready", hint="look at its conditions", status=503
                )
            try:
                return _ask(url.hostname, url.port, path, payload, self._timeout, headers)
            except ServingError as error:
                if error.status or attempt == 2:  # without an answer the revision may just have changed
                    raise
        raise AssertionError("unreachable")

    def _settled(self, found: dict[str, Any], namespace: str, wait: float) -> dict[str, Any]:
        generation = found["metadata"]["generation"]
        name = found["metadata"]["name"]
        deadline = time.monotonic() + wait
        while True:
            status = found.get("status") or {}
            if status.get("observedGeneration", 0) >= generation:
                failure = failure_of(found)
                if failure is not None:
                    raise ServingError(f"deployment {name}: {failure}", hint=f"millpond logs {name}")
                if condition(found, "Ready") == "True":
                    return found
            if time.monotonic() > deadline:
                raise ServingError(f"deployment {name} is not ready after {wait:g} seconds{_blocked(status)}")
            time.sleep(0.1)
            found = self.get(name, namespace)

    @staticmethod
    def _path(namespace: str | None, name: str | None = None, *, graph: bool = False) -> str:
        group, kind = (GRAPHS, "inferencegraphs") if graph else (GROUP, "inferenceservices")
        if namespace is None:
            return f"/{group.removesuffix('/namespaces')}/{kind}"
        path = f"/{group}/{quote(namespace, safe='')}/{kind}"
        return path if name is None else f"{path}/{quote(name, safe='')}"

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise ServingError(
                f"model serving does not answer: {getattr(error, 'reason', error)}", hint="millpond status"
            ) from error


def condition(found: Mapping[str, Any], kind: str) -> str | None:
    """``True``, ``False`` or ``Unknown``, as the deployment's conditions have it."""
    for item in (found.get("status") or {}).get("conditions", ()):
        if item["type"] == kind:
            return str(item["status"])
    return None


def failure_of(found: Mapping[str, Any]) -> str | None:
    """Why the newest revision does not serve, or None."""
    status = (found.get("status") or {}).get("modelStatus") or {}
    if status.get("transitionStatus") in ("BlockedByFailedLoad", "InvalidSpec"):
        return str((status.get("lastFailureInfo") or {}).get("message", "its newest revision failed"))
    return None


def _ask(
    address: str, port: int, path: str, payload: Any, timeout: float, headers: Mapping[str, str] | None = None
) -> Answer:
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    sent = {"content-type": "application/json", **(headers or {})}
    body = None if payload is None else json.dumps(payload)
    try:
        connection.request("GET" if body is None else "POST", path, body, sent)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServingError(f"nothing answers at {address}:{port}: {error}") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise _refusal(answer.status, text)
    return Answer(answer.status, found, text)


def _refusal(status: int, body: bytes) -> ServingError:
    try:
        found = json.loads(body)
        return ServingError(str(found.get("message") or found["error"]), status=status)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = body.decode(errors="replace").strip()[:200]
        return ServingError(f"answer {status}: {text}" if text else f"answer {status}", status=status)


def _blocked(status: Mapping[str, Any]) -> str:
    """Why a deployment waits, as far as its conditions tell.

    >>> _blocked({"conditions": [{"type": "IngressReady", "status": "False", "message": "no route"}]})
    ': no route'
    """
    reasons = [
        str(found["message"])
        for found in status.get("conditions") or []
        if found.get("status") == "False" and found.get("message")
    ]
    return "".join(f": {reason}" for reason in dict.fromkeys(reasons))
