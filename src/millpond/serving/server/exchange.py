"""What happens to every request to predict, whichever protocol brings it.

The number of them that may wait, the prediction or its refusal, metrics, the prediction log: REST and
gRPC come through here, so that neither can forget one of them. What differs is a `Skin`: how a request is
read, how an answer and a refusal are written.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter, time

from millpond.serving.server.arguments import Limits
from millpond.serving.server.dataplane import DataPlane
from millpond.serving.server.engine import Engine
from millpond.serving.server.errors import Busy, NoExplainer, NotReady, RequestError
from millpond.serving.server.metrics import Metrics
from millpond.serving.server.tensors import Prediction, Request

log = logging.getLogger(__name__)

_GONE = 499
"""The status that is counted for a request whose client went away before its answer."""


@dataclass(slots=True)
class Reply:
    """What goes back to the client; `header_length` is set when binary data follows the JSON."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    header_length: int | None = None


@dataclass(slots=True)
class Call:
    """A request as it came: its path, its id, its body, and what its headers say of that.

    `header_length` is the binary extension's header as it was sent; `shadow` says that the answer is
    for nobody, as the gateway mirrored the request; `headers` are all of them, for a transformer.
    """

    path: str
    identity: str
    body: bytes = b""
    media_type: str | None = None
    header_length: str | None = None
    shadow: bool = False
    headers: Mapping[str, str] | None = None


@dataclass(slots=True)
class Skin:
    """A protocol's two sides around a prediction; `name` is what metrics and the log call it.

    `refuse` makes the reply of an error's status and sentence. `explains` is set where it is not the
    prediction that is asked for but what the explainer says.
    """

    name: str
    read: Callable[[Call], Request]
    write: Callable[[Prediction, Request, Call], Reply]
    refuse: Callable[[int, str], Reply]
    explains: bool = False


class Exchange:
    """Answers requests to predict for one data plane."""

    def __init__(self, plane: DataPlane, metrics: Metrics, limits: Limits, engine: Engine) -> None:
        self.plane = plane
        self.metrics = metrics
        self.limits = limits
        self.engine = engine

    async def answer(self, skin: Skin, call: Call, receive: Callable[[], Awaitable[bytes]]) -> Reply:
        """The reply to a request whose body `receive` brings; never raises for what went wrong with it."""
        started, arrival = perf_counter(), time()
        begun = False
        try:
            body = await receive()
            call = Call(
                call.path,
                call.identity,
                body,
                call.media_type,
                call.header_length,
                call.shadow,
                call.headers,
            )
            self._begin()  # not before: who sends slowly must not take the place of others
            begun = True
            if self.plane.extensions is None and not skin.explains:
                reply = await self._predict(skin, call)
            else:
                reply = await self._extended(skin, call)
        except Exception as error:
            reply = skin.refuse(*refusal(error, call.path, call.identity))
        except asyncio.CancelledError:
            if begun:
                self._end(_GONE)
            self.metrics.answered(skin.name, _GONE, perf_counter() - started)
            raise
        if begun:
            self._end(reply.status)
        seconds = perf_counter() - started
        self.metrics.answered(skin.name, reply.status, seconds)
        kept = self.plane.log
        if kept is not None and not skin.explains and kept.wants(call.identity):
            kept.prediction(
                call.identity,
                call.body,
                reply.body,
                arrival=arrival,
                ms=seconds * 1000,
                status=reply.status,
                protocol=skin.name,
                path=call.path,
                request_type=call.media_type,
                response_type=reply.media_type,
                header_length=_length(call.header_length),
                response_header_length=reply.header_length,
                shadow=call.shadow,
            )
        return reply

    async def _extended(self, skin: Skin, call: Call) -> Reply:
        self.plane.loaded()
        if self.plane.extensions is None:
            raise NoExplainer(self.plane.name)
        return await self.plane.extensions.answer(skin, call, self._predict)

    async def _predict(self, skin: Skin, call: Call) -> Reply:
        reply: Reply = await self.engine.predict(
            lambda: skin.read(call),
            lambda request, prediction: skin.write(prediction, request, call),
            len(call.body),
        )
        return reply

    def _begin(self) -> None:
        if self.plane.stats.in_flight >= self.limits.waiting:
            raise Busy(self.limits.waiting)
        self.plane.stats.begin()
        self.metrics.in_flight = self.plane.stats.in_flight

    def _end(self, status: int) -> None:
        self.plane.stats.end(status)
        self.metrics.in_flight = self.plane.stats.in_flight


def refusal(error: Exception, path: str, identity: str) -> tuple[int, str]:
    """The status and the sentence that answer an error; the log has it with the request's id."""
    if not isinstance(error, RequestError):
        log.error("%s failed, request %s", path, identity, exc_info=error)
        return 500, f"the server failed: {type(error).__name__}"
    if error.status == 500:
        log.error("%s failed, request %s: %s", path, identity, error.message, exc_info=error.__cause__)
    else:
        level = logging.DEBUG if isinstance(error, NotReady) else logging.INFO
        log.log(level, "%s refused, request %s: %s", path, identity, error.message)
    return error.status, _one_line(error.sentence)


def identity(given: str | None) -> str:
    """The request's id: the client's own, if it can stand in a header and in a line of the log."""
    if given and len(given) <= 128 and given.isascii() and given.isprintable():
        return given
    return os.urandom(16).hex()


def is_shadow(host: str) -> bool:
    """Whether a request to this host is a mirrored one: Envoy appends -shadow to its name."""
    return host.partition(":")[0].endswith("-shadow")


def _length(header: str | None) -> int | None:
    return int(header) if header and header.isdecimal() and len(header) < 20 else None


def _one_line(sentence: str) -> str:
    """One line that JSON can hold, whatever a client or a model put into it."""
    return " ".join(sentence.encode(errors="replace").decode().split())
