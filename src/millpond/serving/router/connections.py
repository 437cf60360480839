"""The HTTP clients of the router, and the names and headers that they share."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

AGENT = "millpond-router"
# Hop-by-hop headers (RFC 9110, 7.6.1), which speak of one connection, not of the message.
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
) | {"proxy-authenticate", "proxy-authorization"}


class LoopbackNames(AbstractResolver):  # type: ignore[misc] # aiohttp is not in the checks' environment
    """Resolves ``*.localhost`` to the loopback address (RFC 6761, 6.3), which not every system does."""

    def __init__(self) -> None:
        self._system = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host."""
        if host == "localhost" or host.endswith(".localhost"):
            return [
                ResolveResult(
                    hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
                )
            ]
        found: list[ResolveResult] = await self._system.resolve(host, port, family)
        return found

    async def close(self) -> None:
        """Nothing is held."""
        await self._system.close()


def session(*, reuse: bool) -> aiohttp.ClientSession:
    """A client without cookies, proxies and limits of its own; bodies come as they were sent.

    Args:
        reuse: keep connections. A request that may not be sent twice goes over a new one: on a kept one
            nobody can tell whether a server that hangs up had seen it.
    """
    # Kept for less than servers keep them (gunicorn 2 s, uvicorn 5 s): a request that is sent on a connection
    # which its server is just closing would be lost.
    keep: dict[str, Any] = {"keepalive_timeout": 1.5} if reuse else {"force_close": True}
    connector = aiohttp.TCPConnector(limit=0, resolver=LoopbackNames(), ttl_dns_cache=10, **keep)
    client = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        max_line_size=32768,
        max_field_size=32768,
    )
    if not reuse:
        client._retry_connection = False  # it would send a GET twice; there is no public word for this
    return client


def reason(error: BaseException) -> str:
    """Why a call failed, in one line that names no address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "its host is not known"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(
        error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | aiohttp.ClientPayloadError
    ):
        return "the connection broke before the answer was whole"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def whole(content: aiohttp.StreamReader, limit: int) -> bytes | None:
    """All of a body, or None when it has more bytes than `limit`."""
    parts: list[bytes] = []
    size = 0
    async for chunk in content.iter_any():
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return None
    return b"".join(parts)


def forwarded(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Headers without those of one connection, and without those that ``Connection`` names."""
    found = [(name.lower(), value) for name, value in headers]
    named = {
        word.strip().lower() for name, value in found if name == "connection" for word in value.split(",")
    }
    return [(name, value) for name, value in found if name not in HOP_BY_HOP and name not in named]


def canonical(name: str) -> str:
    """A header's name as Go writes it, on which the patterns of KServe's configuration match."""
    return "-".join(word[:1].upper() + word[1:].lower() for word in name.split("-"))


def patterns(texts: Iterable[str]) -> tuple[list[re.Pattern[str]], list[str]]:
    """The regular expressions of ``headers.propagate``, and what is none of them."""
    good: list[re.Pattern[str]] = []
    bad: list[str] = []
    for text in texts:
        try:
            good.append(re.compile(text))
        except re.error as error:
            bad.append(f"{text}: {error}")
    return good, bad
