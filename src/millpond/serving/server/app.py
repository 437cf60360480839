"""HTTP on granian's RSGI: paths, bodies and their limits, headers.

Where and with what else a request is predicted is the engine's business.
"""

from __future__ import annotations

from typing import Any

from millpond.serving.server.arguments import Limits
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.deadlines import Deadlines
from millpond.serving.server.engine import Engine
from millpond.serving.server.errors import TooLarge, TooSlow, Unsupported, WrongMethod
from millpond.serving.server.exchange import Call, Exchange, Reply, Skin, identity, is_shadow, refusal
from millpond.serving.server.metrics import Metrics
from millpond.serving.server.rest import Rest, refuse
from millpond.serving.server.v2 import HEADER_LENGTH

_DISCARDED = 16 * 1024 * 1024
"""Bytes beyond the limit of a body that are read for the sake of the answer."""


class Application:
    """An RSGI application around one data plane."""

    def __init__(self, plane: DataPlane, metrics: Metrics, limits: Limits, engine: Engine) -> None:
        self.plane = plane
        self.rest = Rest(plane, metrics)
        self.metrics = metrics
        self.limits = limits
        self._deadlines = Deadlines(limits.seconds)
        self.engine = engine
        self.exchange = Exchange(plane, metrics, limits, engine)

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        """Answer one request."""
        if scope.proto != "http":
            proto.close(403)
            return
        asked = identity(scope.headers.get("x-request-id"))
        headers = [("x-request-id", asked)]
        try:
            route = self.rest.route(scope.method, scope.path)
            act = route.act
            if isinstance(act, Skin):
                headers.append(("x-millpond-revision", self.plane.revision))
                call = _call(scope, asked)
                reply = await self.exchange.answer(
                    act, call, lambda: self._body(scope, proto, self.limits.body)
                )
            elif route.reads:
                reply = act(_call(scope, asked, await self._body(scope, proto, route.reads)))
            else:
                reply = act(Call(scope.path, asked))
        except Exception as error:
            if isinstance(error, WrongMethod):
                headers.append(("allow", error.allowed))
            reply = refuse(*refusal(error, f"{scope.method} {scope.path}", asked))
        self._send(scope, proto, reply, headers)

    def _send(self, scope: Any, proto: Any, reply: Reply, headers: list[tuple[str, str]]) -> None:
        headers.append(("content-type", reply.media_type))
        if reply.header_length is not None:
            headers.append((HEADER_LENGTH, str(reply.header_length)))
        if reply.status in (408, 413):  # the rest of the body would be read as the next request
            headers.append(("connection", "close"))
        if scope.method == "HEAD":
            proto.response_empty(reply.status, headers)
        else:
            proto.response_bytes(reply.status, headers, reply.body)

    async def _body(self, scope: Any, proto: Any, limit: int) -> bytes:
        headers = scope.headers
        encoding = headers.get("content-encoding")
        if encoding and encoding.lower() != "identity":
            raise Unsupported(
                f"content encoding {encoding[:40]} is not supported", hint="send it uncompressed"
            )
        length = headers.get("content-length")
        known = int(length) if length is not None and length.isdecimal() else None
        if known is not None and known > limit + _DISCARDED:
            raise TooLarge(limit)
        try:
            with self._deadlines:
                if known is not None and known <= limit:
                    return bytes(await proto())
                return await _chunks(proto, limit)
        except TimeoutError:
            raise TooSlow(self.limits.seconds) from None


async def _chunks(proto: Any, limit: int) -> bytes:
    """A body of unknown length, or of one that is too large: a little of that is read and forgotten.

    Most clients send all of their body before they look for an answer; closed on at once, they would tell of
    a broken connection and not of the limit.
    """
    chunks, size = [], 0
    async for chunk in proto:
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > limit + _DISCARDED:
            break
        else:
            chunks.clear()
    if size > limit:
        raise TooLarge(limit)
    return b"".join(chunks)


def _call(scope: Any, asked: str, body: bytes = b"") -> Call:
    headers = scope.headers
    return Call(
        path=scope.path,
        identity=asked,
        body=body,
        media_type=headers.get("content-type"),
        header_length=headers.get(HEADER_LENGTH),
        shadow=is_shadow(scope.authority or headers.get("host") or ""),
        headers=headers,
    )
