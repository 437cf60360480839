"""HTTP on granian's RSGI: limits, request ids, error objects, metrics, and the thread that predicts.

The event loop only reads and writes; JSON, the model and its answer are worked on in the
predicting threads, so that health is answered while a slow model runs. One thread is the default,
because not every framework's predict may be called twice at once.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import uuid4

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
from millpond.serving.server.rest import JSON, Reply, Rest, Route, dumps

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one client may take: bytes of a body, seconds to send it, requests that wait."""

    body: int = 64 * 1024 * 1024
    seconds: float = 60.0
    waiting: int = 1000


class Application:
    """An RSGI application around one data plane."""

    def __init__(self, plane: DataPlane, metrics: Metrics, limits: Limits, threads: int = 1) -> None:
        self.rest = Rest(plane, metrics)
        self.metrics = metrics
        self.limits = limits
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        self._waiting = 0

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            proto.close(403)
            return
        started = perf_counter()
        identity = _identity(scope.headers.get("x-request-id"))
        route: Route | None = None
        allowed: str | None = None
        try:
            route = self.rest.route(scope.method, scope.path)
            if route.protocol is None:
                reply = route.run(b"", identity)
            else:
                reply = await self._predict(route, scope, proto, identity)
        except RequestError as error:
            allowed = error.allowed if isinstance(error, WrongMethod) else None
            reply = self._refusal(error, scope, identity)
        except Exception as error:
            log.exception("%s %s failed, request %s", scope.method, scope.path, identity)
            reply = Reply(dumps({"error": f"the server failed: {type(error).__name__}"}), 500)
        if route is not None and route.protocol is not None:
            self.metrics.answered(route.protocol, reply.status, perf_counter() - started)
        headers = [("content-type", reply.media_type), ("x-request-id", identity)]
        if allowed is not None:
            headers.append(("allow", allowed))
        if reply.status in (408, 413):  # the rest of the body would be read as the next request
            headers.append(("connection", "close"))
        if scope.method == "HEAD":
            proto.response_empty(reply.status, headers)
        else:
            proto.response_bytes(reply.status, headers, reply.body)

    async def _predict(self, route: Route, scope: Any, proto: Any, identity: str) -> Reply:
        if self._waiting >= self.limits.waiting:
            raise Busy(self.limits.waiting)
        self._waiting += 1
        self.metrics.in_flight.set(self._waiting)
        try:
            body = await self._body(scope.headers, proto)
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.pool, route.run, body, identity)
        finally:
            self._waiting -= 1
            self.metrics.in_flight.set(self._waiting)

    async def _body(self, headers: Any, proto: Any) -> bytes:
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() != "identity":
            raise Unsupported(f"content encoding {encoding[:40]} is not supported", hint="send plain JSON")
        if headers.get("inference-header-content-length"):
            raise Unsupported("binary tensor data is not supported", hint="send data as JSON")
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


def _identity(given: str | None) -> str:
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return uuid4().hex


def _text(sentence: str) -> str:
    """One line that JSON can hold, whatever a client or a model put into it."""
    return " ".join(sentence.encode(errors="replace").decode().split())
