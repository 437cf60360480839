"""The router's HTTP on granian's RSGI: whose request it is, limits, disconnects, and how failures look.

A request belongs to the graph or the model that the first label of its host names (``NAME.localhost``), else
to the one in its path: ``/graphs/NAME``, ``/v1/models/NAME``, ``/v2/models/NAME``. Without either it is for
the router itself: ``/healthz``, ``/metrics``. A client that goes away ends the calls that were made for it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import orjson
from granian.rsgi import ProtocolClosed

from millpond.model.errors import MillpondError
from millpond.serving.router import seldonapi
from millpond.serving.router.activator import Activator, Bounds, Place, Refused, Waiting
from millpond.serving.router.forwarding import Forwarder, Incoming
from millpond.serving.router.graph import Execution
from millpond.serving.router.message import JSON, Message, StepFailed
from millpond.serving.router.metrics import Metrics
from millpond.serving.router.shelf import ServedGraph, Shelf
from millpond.serving.router.steps import Steps, propagated

log = logging.getLogger(__name__)

SHARED_HOST = "serving"
_LABEL = re.compile(r"[a-z0-9][-a-z0-9]{0,62}\Z")
_PATH_NAME = re.compile(r"/(?:graphs|v[12]/models)/([a-z0-9][-a-z0-9]{0,62})(?=[/:]|\Z)")
_LENGTH = "inference-header-content-length"
_UNAVAILABLE = "14"
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Limits:
    """Bytes of a body and of a step's answer; seconds to send a body; requests in graphs, and their bytes."""

    body: int = 64 * 1024 * 1024
    seconds: float = 60.0
    graphs: int = 1000
    bytes: int = 512 * 1024 * 1024


class Application:
    """An RSGI application over the graphs of a folder and the models of a controller.

    Args:
        propagate: patterns of the headers that every graph sends to its steps.
        gateway: its address; Seldon's calls go through it, to where a deployment's traffic goes.
        chance: where Splitters' choices come from.
    """

    def __init__(
        self,
        shelf: Shelf,
        activator: Activator,
        forwarder: Forwarder,
        client: aiohttp.ClientSession,
        *,
        bounds: Bounds,
        limits: Limits,
        propagate: list[re.Pattern[str]],
        chance: random.Random,
        gateway: str | None = None,
    ) -> None:
        self._shelf = shelf
        self._activator = activator
        self._forwarder = forwarder
        self._client = client
        self._waiting = Waiting(bounds)
        self._limits = limits
        self._propagate = propagate
        self._chance = chance
        self._gateway = gateway
        self._inside = Waiting(Bounds(limits.graphs, limits.bytes), "are in graphs")
        self._metrics = Metrics(lambda: self._waiting.requests, lambda: self._waiting.bytes)

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            proto.close(403)
            return
        identity = _identity(scope.headers.get("x-request-id"))
        work = asyncio.ensure_future(self._guarded(scope, proto, identity))
        gone = asyncio.ensure_future(proto.client_disconnect())
        try:
            await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            gone.cancel()
        with suppress(asyncio.CancelledError):
            await work

    async def _guarded(self, scope: Any, proto: Any, identity: str) -> None:
        headers = [("content-type", JSON), ("x-request-id", identity)]
        try:
            await self._route(scope, proto, identity)
        except Refused as error:
            if error.status in (408, 413, 503):  # the rest of the body would be the next request
                headers.append(("connection", "close"))
            if error.status == 503:
                headers.append(("retry-after", "1"))
            log.info("%s %s refused, request %s: %s", scope.method, _shown(scope), identity, error.sentence)
            proto.response_bytes(error.status, headers, orjson.dumps({"error": error.sentence}))
        except asyncio.CancelledError:
            log.info("%s %s: the client left, request %s", scope.method, _shown(scope), identity)
            raise
        except Exception as error:
            log.exception("%s %s failed, request %s", scope.method, _shown(scope), identity)
            with suppress(Exception):  # the answer may have begun
                said = f"the router failed: {type(error).__name__}"
                proto.response_bytes(500, headers, orjson.dumps({"error": said}))

    async def _route(self, scope: Any, proto: Any, identity: str) -> None:
        host = scope.headers.get("host") or scope.authority or ""
        by_host = _name(host)
        found = _PATH_NAME.match(scope.path)
        seldon = seldonapi.called(scope.path)
        name = (seldon[0] if seldon else None) or by_host or (found[1] if found else None)
        if name is None:
            self._own(scope, proto)
            return
        try:
            graph = self._shelf.get(name)
        except MillpondError as error:
            raise Refused(500, error.message) from None
        if graph is not None and seldon is not None and seldon[0] is not None:
            await self._graph(name, graph, scope, proto, identity, seldon=True)
        elif graph is not None and (by_host or scope.path.startswith("/graphs/")):
            await self._graph(name, graph, scope, proto, identity)
        elif by_host is None and scope.path.startswith("/graphs/"):
            raise Refused(404, f"there is no graph {name}")
        elif _is_shadow(host):
            raise Refused(503, f"{name} is asleep, and a mirrored request wakes nothing")
        elif scope.headers.get("content-type", "").startswith("application/grpc"):
            await self._grpc(name, proto)
        else:
            await self._model(name, scope, proto, host, identity, seldon=seldon is not None)

    def _own(self, scope: Any, proto: Any) -> None:
        if scope.path in ("/healthz", "/readyz"):
            proto.response_bytes(200, [("content-type", JSON)], b'{"status":"ok"}')
        elif scope.path == "/metrics":
            proto.response_bytes(200, [("content-type", self._metrics.type)], self._metrics.text())
        else:
            raise Refused(404, "neither the host nor the path names a graph or a model")

    async def _graph(
        self, name: str, served: ServedGraph, scope: Any, proto: Any, identity: str, *, seldon: bool = False
    ) -> None:
        started = monotonic()
        status = 500
        try:
            with self._inside.place() as place:
                body = await self._body(scope.headers, proto, served.reading, place)
                body, kind = seldonapi.instances(body) if seldon else (body, None)
                answer = await self._run(served, scope.headers, body, identity)
            if kind is not None:
                answer = seldonapi.answered(answer, kind, identity)
            status = answer.status
            proto.response_bytes(status, _headers(answer, identity), answer.body)
        except StepFailed as error:
            status = error.status
            log.info("graph %s failed, request %s: %s", name, identity, error.cause)
            said = orjson.dumps({"error": "Failed to process request", "cause": error.cause})
            proto.response_bytes(status, [("content-type", JSON), ("x-request-id", identity)], said)
        except Refused as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            self._metrics.graph(name, status, monotonic() - started)

    async def _run(self, served: ServedGraph, given: Any, body: bytes, identity: str) -> Message:
        headers = [item for item in given.items() if item[0] != "x-request-id"]
        headers.append(("x-request-id", identity))
        along = propagated(headers, [*self._propagate, *served.propagate])
        steps = Steps(self._client, served.services, along, served.calling, self._limits.body)
        length = given.get(_LENGTH)
        request = Message(body, type=given.get("content-type") if length else JSON, header_length=length)
        execution = Execution(served.graph.spec.nodes, steps, self._chance)
        try:
            async with asyncio.timeout(served.answering):
                return await execution.run(request)
        except TimeoutError:
            raise StepFailed(f"no answer within {served.answering:g} s", 504) from None

    async def _model(
        self, name: str, scope: Any, proto: Any, host: str, identity: str, *, seldon: bool
    ) -> None:
        deadline = monotonic() + self._waiting.bounds.seconds
        started = monotonic()
        status = 500
        try:
            with self._waiting.place() as place:
                body = await self._body(scope.headers, proto, self._limits.seconds, place)
                headers = [item for item in scope.headers.items() if item[0] != "x-request-id"]
                headers.append(("x-request-id", identity))
                if not scope.path.startswith("/"):
                    raise Refused(400, "the request's target is not a path")
                if seldon:
                    body, kind = seldonapi.instances(body)
                    request = seldonapi.request(name, body, headers, self._gateway)
                    found = await self._forwarder.ask(name, request, place, deadline)
                    answer = seldonapi.answered(found, kind, identity)
                    status = answer.status
                    proto.response_bytes(status, _headers(answer, identity), answer.body)
                    return
                request = Incoming(scope.method, scope.path, scope.query_string, host, body, headers)
                status = await self._forwarder.forward(name, request, proto, place, deadline)
        except Refused as error:
            status = error.status
            raise
        except asyncio.CancelledError:
            status = 499
            raise
        finally:
            self._metrics.cold(status, monotonic() - started, self._activator.wakes)

    async def _grpc(self, name: str, proto: Any) -> None:
        """Wake the model, and let the call be tried again: trailers cannot be forwarded, a status can."""
        said = f"{name} was asleep and is awake now, call again"
        try:
            with self._waiting.place():
                await self._activator.addresses(name, monotonic() + self._waiting.bounds.seconds)
        except Refused as error:
            said = error.sentence
        # Without a message, gRPC's status stands among the headers ("Trailers-Only").
        headers = [("content-type", "application/grpc"), ("grpc-status", _UNAVAILABLE)]
        headers.append(("grpc-message", said.encode("ascii", "replace").decode().replace("%", "%25")))
        proto.response_empty(200, headers)

    async def _body(self, headers: Any, proto: Any, seconds: float, place: Place) -> bytes:
        length = headers.get("content-length")
        try:
            async with asyncio.timeout(seconds):
                if length is not None and length.isdecimal():
                    if int(length) > self._limits.body:
                        raise Refused(413, f"a request has at most {self._limits.body} bytes")
                    place.take(int(length))
                    return bytes(await _read(proto))
                chunks, size = [], 0
                async for chunk in proto:
                    size += len(chunk)
                    if size > self._limits.body:
                        raise Refused(413, f"a request has at most {self._limits.body} bytes")
                    place.take(len(chunk))
                    chunks.append(chunk)
                return b"".join(chunks)
        except TimeoutError:
            raise Refused(408, f"the request was not whole after {seconds:g} s") from None
        except ProtocolClosed:
            raise Refused(400, "the request broke off") from None


def _read(proto: Any) -> Awaitable[bytes]:
    found: Awaitable[bytes] = proto()
    return found


def _headers(answer: Message, identity: str) -> Headers:
    headers = [("x-request-id", identity)]
    kind = _type(answer)
    if kind is not None:
        headers.append(("content-type", kind))
    if answer.header_length is not None:
        headers.append((_LENGTH, answer.header_length))
    return headers


def _type(answer: Message) -> str | None:
    """JSON where the body is JSON, as KServe's router finds it; else what the step said."""
    kind = answer.type
    if answer.header_length is not None or (kind or "").partition(";")[0].strip() == JSON:
        return kind
    try:
        answer.json()
    except ValueError:
        return kind
    return JSON


def _name(host: str) -> str | None:
    """The graph or model that a host names: its first label, unless it is an address or the shared host."""
    bare = re.sub(r":\d+\Z", "", host).removesuffix("-shadow").lower()
    with suppress(ValueError):
        ip_address(bare.strip("[]"))
        return None
    label, dot, _ = bare.partition(".")
    return label if dot and label != SHARED_HOST and _LABEL.match(label) else None


def _is_shadow(host: str) -> bool:
    """Whether Envoy mirrored the request: it appends this to the host, before the port."""
    return re.sub(r":\d+\Z", "", host).endswith("-shadow")


def _shown(scope: Any) -> str:
    """The path for the log, on one line whatever was encoded in it."""
    return quote(scope.path[:200], safe="/:")


def _identity(given: str | None) -> str:
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return uuid4().hex
