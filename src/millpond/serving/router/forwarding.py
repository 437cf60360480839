"""A request sent on as it is, and its answer streamed back.

Sent once: a connection that cannot be made is tried again until the deadline, at the next address; after that
a server may have seen the request, and a broken connection is 502. An answer whose length is not told is
collected first, because the HTTP server has no way to break one off, and half of it would look whole; event
streams, which have ends of their own, go on as they come.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from millpond.serving.router.activator import Activator, Place, Refused
from millpond.serving.router.connections import forwarded, reason, whole
from millpond.serving.router.message import Message

log = logging.getLogger(__name__)

_PAUSE = 0.1
# Written anew: the body is here already, as a whole.
_OURS = frozenset(("host", "content-length", "expect"))
_PATH = "/:@!$&'()*+,;=~"
# Answers up to this size go back in one piece, and a broken one can still become an error.
_WHOLE = 1024 * 1024


@dataclass(frozen=True)
class Incoming:
    """A client's request.

    Args:
        through: addresses that lead to the model, asleep or not; empty: the model's own, once it is awake.
    """

    method: str
    path: str
    query: str
    host: str
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    through: list[str] = field(default_factory=list)


class Forwarder:
    """Sends requests to woken models.

    Args:
        seconds: between two parts of an answer.
        limit: bytes of an answer whose length is not told.
    """

    def __init__(
        self, client: aiohttp.ClientSession, activator: Activator, seconds: float, limit: int
    ) -> None:
        self._limit = limit
        self._client = client
        self._activator = activator
        self._seconds = seconds

    async def forward(self, name: str, request: Incoming, proto: Any, place: Place, deadline: float) -> int:
        """Send the request when the model is awake, and its answer to the client; returns the status.

        Args:
            place: the request's place among the waiting, left when the model begins to answer.
            deadline: of the wait, by the monotonic clock; an answer that has begun may take longer.

        Raises:
            Refused: nothing was sent to the client yet.
        """
        answer = await self._send(name, request, deadline)
        try:
            place.leave()
            headers = [item for item in forwarded(answer.headers.items()) if item[0] != "date"]
            if request.method == "HEAD" or answer.status in (204, 304):
                proto.response_empty(answer.status, headers)
            elif _streams(answer):
                stream = proto.response_stream(answer.status, headers)
                try:
                    async for chunk in answer.content.iter_any():
                        await stream.send_bytes(chunk)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    log.warning("the answer of %s was cut off: %s", name, reason(error))
                finally:
                    del stream  # what ends the answer; an exception's frames would keep it
            else:
                proto.response_bytes(answer.status, headers, await self._whole(name, answer))
            return int(answer.status)
        finally:
            answer.close()

    async def ask(self, name: str, request: Incoming, place: Place, deadline: float) -> Message:
        """Send the request when the model is awake, and return its whole answer; see `forward`."""
        answer = await self._send(name, request, deadline)
        try:
            place.leave()
            return Message(await self._whole(name, answer), answer.status, answer.headers.get("content-type"))
        finally:
            answer.close()

    async def _whole(self, name: str, answer: aiohttp.ClientResponse) -> bytes:
        try:
            body = await whole(answer.content, self._limit)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Refused(502, f"{name} did not finish its answer: {reason(error)}") from error
        if body is None:
            raise Refused(
                502, f"the answer of {name} has more than {self._limit} bytes and does not say how many"
            )
        return body

    async def _send(self, name: str, request: Incoming, deadline: float) -> aiohttp.ClientResponse:
        headers = [item for item in forwarded(request.headers) if item[0] not in _OURS]
        headers.append(("host", request.host))
        query = f"?{request.query}" if request.query else ""
        while True:
            addresses = request.through or await self._activator.addresses(name, deadline)
            for address in random.sample(addresses, len(addresses)):
                try:
                    return await self._client.request(
                        request.method,
                        _url(address, request.path, query),
                        data=request.body if request.body or request.method == "POST" else None,
                        headers=headers,
                        timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=self._seconds),
                        allow_redirects=False,
                    )
                except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                    continue  # no server has seen the request
                except (TimeoutError, aiohttp.ServerTimeoutError) as error:
                    raise Refused(504, f"{name} did not answer in time") from error
                except (aiohttp.ClientError, OSError) as error:
                    raise Refused(502, f"{name} did not answer: {reason(error)}") from error
            self._activator.forget(name)
            if monotonic() + _PAUSE >= deadline:
                raise Refused(504, f"{name} could not be reached in time")
            await asyncio.sleep(_PAUSE)


def _streams(answer: aiohttp.ClientResponse) -> bool:
    length = answer.headers.get("content-length")
    if length is not None and length.isdecimal():
        return int(length) > _WHOLE
    return bool(answer.content_type == "text/event-stream")


def _url(address: str, path: str, query: str) -> URL:
    # The server has decoded the path; what cannot stand in a request line is encoded again.
    return URL(f"http://{address}{quote(path, safe=_PATH)}{query}", encoded=True)
