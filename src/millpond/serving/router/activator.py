"""Cold starts: what to do with a request for a model that sleeps.

The first request asks the controller to wake the model; all others for it wait for the same call. How many
wait, with how many bytes and for how long is bounded: a model that never wakes takes nothing else down. An
address that was learned is used for some seconds, for the requests that are still under way while the gateway
learns it too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

from millpond.serving.router.connections import AGENT, reason

log = logging.getLogger(__name__)

_KNOWN_SECONDS = 5.0
_PAUSE = 0.2


@dataclass(frozen=True)
class Bounds:
    """What requests for sleeping models may take: their number, bytes of all bodies, seconds of each."""

    requests: int = 1000
    bytes: int = 256 * 1024 * 1024
    seconds: float = 60.0


class Refused(Exception):  # noqa: N818 - an answer to the client
    """A request that is not forwarded: the status and the sentence to tell."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Waiting:
    """The room that requests share.

    Args:
        bounds: how much there is.
        doing: what the requests do in it, for the sentence of a refusal.
    """

    def __init__(self, bounds: Bounds, doing: str = "wait for models to start") -> None:
        self.bounds = bounds
        self.doing = doing
        self.requests = 0
        self.bytes = 0

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place for one request, given back at the end.

        Raises:
            Refused: 503, there is none.
        """
        if self.requests >= self.bounds.requests:
            raise Refused(503, f"{self.requests} requests {self.doing}, no more can")
        self.requests += 1
        place = Place(self)
        try:
            yield place
        finally:
            place.leave()


class Place:
    """One request's part of the room."""

    def __init__(self, room: Waiting) -> None:
        self._room = room
        self._bytes = 0
        self._left = False

    def take(self, size: int) -> None:
        """Hold as many more bytes.

        Raises:
            Refused: 503, there is no room for them.
        """
        if self._room.bytes + size > self._room.bounds.bytes:
            raise Refused(503, f"the requests that {self._room.doing} hold too many bytes")
        self._room.bytes += size
        self._bytes += size

    def leave(self) -> None:
        """Give all back; a second call does nothing."""
        if not self._left:
            self._left = True
            self._room.requests -= 1
            self._room.bytes -= self._bytes


class Activator:
    """Knows where awake models answer, and wakes the others.

    Args:
        client: the HTTP client.
        url: the controller's address, None when there is none.
        token: its bearer token.
        seconds: the longest that a model may take to wake.
    """

    def __init__(self, client: aiohttp.ClientSession, url: str | None, token: str, seconds: float) -> None:
        self._client = client
        self._url = url
        self._token = token
        self._seconds = seconds
        self._known: dict[str, tuple[float, list[str]]] = {}
        self._waking: dict[str, asyncio.Task[list[str]]] = {}
        self.wakes = 0

    async def addresses(self, name: str, deadline: float) -> list[str]:
        """Where a model answers, once it does; `deadline` is of the monotonic clock.

        Raises:
            Refused: 404, there is no such model; 503, it cannot start; 504, not in time.
        """
        known = self._known.get(name)
        if known is not None and known[0] > monotonic():
            return known[1]
        task = self._waking.get(name)
        if task is None:
            task = self._waking[name] = asyncio.ensure_future(self._wake(name))
            task.add_done_callback(lambda done: self._woke(name, done))
        try:
            # Shielded: when one client leaves, the others still wait for the same call.
            return await asyncio.wait_for(asyncio.shield(task), max(0.0, deadline - monotonic()))
        except TimeoutError:
            raise Refused(504, f"{name} did not start in time") from None

    def forget(self, name: str) -> None:
        """Ask the controller again next time: nobody listens at the address."""
        self._known.pop(name, None)

    async def finish(self) -> None:
        """End the calls that are under way."""
        for task in list(self._waking.values()):
            task.cancel()
        await asyncio.gather(*self._waking.values(), return_exceptions=True)

    def _woke(self, name: str, task: asyncio.Task[list[str]]) -> None:
        self._waking.pop(name, None)
        if not task.cancelled() and task.exception() is None:
            self._known[name] = (monotonic() + _KNOWN_SECONDS, task.result())
            if len(self._known) > 10_000:
                self._known.clear()

    async def _wake(self, name: str) -> list[str]:
        if self._url is None:
            raise Refused(503, f"{name} cannot be started, the router knows no controller")
        self.wakes += 1
        started = monotonic()
        while True:
            left = started + self._seconds - monotonic()
            try:
                status, body = await self._ask(name, max(left, 0.1))
            except TimeoutError:
                raise Refused(504, f"{name} did not start in time") from None
            except (aiohttp.ClientError, OSError) as error:
                # The controller may be restarting: its deployments come back with it.
                if left <= _PAUSE:
                    log.warning(
                        "the controller did not answer when %s was to be woken: %s", name, reason(error)
                    )
                    raise Refused(503, f"{name} cannot be started, the controller does not answer") from None
                await asyncio.sleep(_PAUSE)
                continue
            break
        if status == 200:
            found = _addresses(body)
            if found:
                log.info("%s woke in %.2f s", name, monotonic() - started)
                return found
            raise Refused(503, f"{name} cannot be started, the controller named no address")
        said = _sentence(body)
        log.warning("%s was not woken: %s %s", name, status, said)
        if status == 404:
            raise Refused(404, f"there is no deployment {name}")
        if status == 504:
            raise Refused(504, said or f"{name} did not start in time")
        raise Refused(503, said if status == 503 and said else f"{name} cannot be started")

    async def _ask(self, name: str, seconds: float) -> tuple[int, bytes]:
        async with self._client.post(
            f"{self._url}/internal/wake/{quote(name, safe='')}",
            # The controller gives up first, so that its reason reaches those who wait.
            params={"timeout": f"{max(seconds - 1, seconds / 2):.3f}"},
            headers={"authorization": f"Bearer {self._token}", "user-agent": AGENT},
            timeout=aiohttp.ClientTimeout(total=seconds),
            allow_redirects=False,
        ) as answer:
            return answer.status, await answer.content.read(65536)


def _addresses(body: bytes) -> list[str]:
    try:
        found: Any = orjson.loads(body)
        return [str(address) for address in found["addresses"]]
    except (ValueError, KeyError, TypeError):
        return []


def _sentence(body: bytes) -> str:
    """What the controller said, as its API words failures."""
    try:
        found = orjson.loads(body)
        said = next(found[key] for key in ("message", "reason", "error") if found.get(key))
        return " ".join(str(said).split())[:500]
    except (ValueError, AttributeError, StopIteration, TypeError):
        return ""
