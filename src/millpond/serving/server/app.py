"""HTTP on granian's RSGI: limits, request ids, error objects, metrics, and the thread that predicts.

The event loop only reads and writes; JSON, the model and its answer are worked on in the
predicting threads, so that health is answered while a slow model runs. One thread is the default,
because not every framework's predict may be called twice at once.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, time
from typing import Any
from uuid import uuid4

from millpond.serving.predictionlog import SegmentWriter
from millpond.serving.server.arguments import Limits
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.errors import (
    Busy,
    NotReady,
    RequestError,
    TooLarge,
    TooSlow,
    Unsupported,
    WrongMethod,
)
from millpond.serving.server.metrics import Metrics
from millpond.serving.server.rest import JSON, Call, Reply, Rest, Route, dumps
from millpond.serving.server.v2 import HEADER_LENGTH

log = logging.getLogger(__name__)


class Application:
    """An RSGI application around one data plane."""

    def __init__(self, plane: DataPlane, metrics: Metrics, limits: Limits, threads: int = 1) -> None:
        self.plane = plane
        self.rest = Rest(plane, metrics)
        self.metrics = metrics
        self.limits = limits
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            proto.close(403)
            return
        started = perf_counter()
        identity = _identity(scope.headers.get("x-request-id"))
        arrival = time()
        body = b""
        route: Route | None = None
        allowed: str | None = None
        predicting = False
        try:
            route = self.rest.route(scope.method, scope.path)
            if route.protocol is None:
                reply = route.run(Call(b"", identity))
            else:
                self._begin()
                predicting = True
                body = await self._body(scope.headers, proto)
                call = Call(body, identity, scope.headers.get(HEADER_LENGTH))
                reply = await self._predict(route, call)
        except RequestError as error:
            allowed = error.allowed if isinstance(error, WrongMethod) else None
            reply = self._refusal(error, scope, identity)
        except Exception as error:
            log.exception("%s %s failed, request %s", scope.method, scope.path, identity)
            reply = Reply(dumps({"error": f"the server failed: {type(error).__name__}"}), 500)
        if predicting:
            self._end(reply.status)
        headers = [("content-type", reply.media_type), ("x-request-id", identity)]
        if route is not None and route.protocol is not None:
            headers.append(("x-millpond-revision", self.plane.revision))
            seconds = perf_counter() - started
            self.metrics.answered(route.protocol, reply.status, seconds)
            kept = self.plane.log
            if kept is not None and kept.wants(identity):
                self._keep(kept, scope, identity, body, reply, route.protocol, arrival, seconds)
        if reply.header_length is not None:
            headers.append((HEADER_LENGTH, str(reply.header_length)))
        if allowed is not None:
            headers.append(("allow", allowed))
        if reply.status in (408, 413):  # the rest of the body would be read as the next request
            headers.append(("connection", "close"))
        if scope.method == "HEAD":
            proto.response_empty(reply.status, headers)
        else:
            proto.response_bytes(reply.status, headers, reply.body)

    def _begin(self) -> None:
        if self.plane.stats.in_flight >= self.limits.waiting:
            raise Busy(self.limits.waiting)
        self.plane.stats.begin()
        self.metrics.in_flight.set(self.plane.stats.in_flight)

    def _end(self, status: int) -> None:
        self.plane.stats.end(status)
        self.metrics.in_flight.set(self.plane.stats.in_flight)

    async def _predict(self, route: Route, call: Call) -> Reply:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, route.run, call)

    @staticmethod
    def _keep(
        kept: SegmentWriter,
        scope: Any,
        identity: str,
        body: bytes,
        reply: Reply,
        protocol: str,
        arrival: float,
        seconds: float,
    ) -> None:
        headers = scope.headers
        length = headers.get(HEADER_LENGTH)
        kept.prediction(
            identity,
            body,
            reply.body,
            arrival=arrival,
            ms=seconds * 1000,
            status=reply.status,
            protocol=protocol,
            path=scope.path,
            request_type=headers.get("content-type"),
            response_type=reply.media_type,
            header_length=int(length) if length and length.isdecimal() and len(length) < 20 else None,
            response_header_length=reply.header_length,
            shadow=_shadow(scope.authority or headers.get("host") or ""),
        )

    async def _body(self, headers: Any, proto: Any) -> bytes:
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() != "identity":
            raise Unsupported(
                f"content encoding {encoding[:40]} is not supported", hint="send it uncompressed"
            )
        length = headers.get("content-length")
        try:
            async with asyncio.timeout(self.limits.seconds):
                if length is not None and length.isdecimal():
                    if int(length) > self.limits.body:
                        raise TooLarge(self.limits.body)
                    return bytes(await proto())
                chunks, size = [], 0
                async for chunk in proto:
                    size += len(chunk)
                    if size > self.limits.body:
                        raise TooLarge(self.limits.body)
                    chunks.append(chunk)
                return b"".join(chunks)
        except TimeoutError:
            raise TooSlow(self.limits.seconds) from None

    def _refusal(self, error: RequestError, scope: Any, identity: str) -> Reply:
        if error.status == 500:
            log.error(
                "%s %s failed, request %s: %s",
                scope.method,
                scope.path,
                identity,
                error.message,
                exc_info=error.__cause__,
            )
        else:
            level = logging.DEBUG if isinstance(error, NotReady) else logging.INFO
            log.log(level, "%s %s refused, request %s: %s", scope.method, scope.path, identity, error.message)
        return Reply(dumps({"error": _text(error.sentence)}), error.status, JSON)


def _shadow(host: str) -> bool:
    """Whether this is a mirrored request: Envoy appends -shadow to its host."""
    return host.partition(":")[0].endswith("-shadow")


def _identity(given: str | None) -> str:
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return uuid4().hex


def _text(sentence: str) -> str:
    """One line that JSON can hold, whatever a client or a model put into it."""
    return " ".join(sentence.encode(errors="replace").decode().split())
