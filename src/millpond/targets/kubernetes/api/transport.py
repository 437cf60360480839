"""Requests to an API server: credentials, retries, errors.

A request is tried again when the server is busy (429, 503 with Retry-After), broken (500, 502, 504) or gone
(a refused or closed connection), with growing pauses and up to a bound. All the verbs that are used bear
being sent twice: an apply is idempotent, a second create says that the object is there.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.model.errors import MillpondError
from millpond.targets.kubernetes.api.errors import ApiError, refused, unreachable
from millpond.targets.kubernetes.api.extra import needed
from millpond.targets.kubernetes.api.kubeconfig import load

if TYPE_CHECKING:
    import httpx2
    from lightkube.config.kubeconfig import SingleConfig

PATIENCE = 30.0
"""Seconds for which a server that has answered before may be away."""

_FIRST = 2.0
"""Seconds for which one that never answered is tried."""

_AT_ONCE = 24
"""Requests in flight; the API server's own fairness queues what is more."""

_AGAIN = (429, 500, 502, 503, 504)
_NOT_AGAIN = ("failed to create typed patch object", "denied the request")
"""What some servers call an internal error though the object is wrong."""


class Transport:
    """The connections to one API server."""

    def __init__(self, client: httpx2.AsyncClient, context: str, *, patience: float = PATIENCE) -> None:
        self._client = client
        self.context = context
        self.patience = patience
        self._answered = False
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def server(self) -> str:
        """The server's address."""
        return str(self._client.base_url).rstrip("/")

    @classmethod
    def connect(cls, context: str, kubeconfig: Path | None) -> tuple[Transport, SingleConfig]:
        """The connections to a context's server; nothing is sent yet.

        Raises:
            MillpondError: the extra is missing, or the kubeconfig does not have what it takes.
        """
        config = load(context, kubeconfig)
        with needed():
            import httpx2
            from lightkube.config.client_adapter import ConnectionParams
            from lightkube.core.exceptions import ConfigError

            from millpond.targets.kubernetes.api.plugins import PluginAuth
        params = ConnectionParams(timeout=httpx2.Timeout(30.0, connect=5.0, pool=None))
        try:
            given = params.httpx_params(config._replace(user=config.user or _nobody()))
        except (ConfigError, OSError, ValueError) as error:
            raise MillpondError(
                f"the kubeconfig's context {config.context_name} cannot be used: {error}",
                hint="mend its cluster or user, or choose another with --context",
            ) from None
        plugin = config.user.exec if config.user else None
        if plugin is not None:
            env = {variable.name: variable.value for variable in plugin.env or []}
            given["auth"] = PluginAuth(
                plugin.apiVersion, plugin.command, list(plugin.args or []), env, plugin.installHint
            )
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        return cls(httpx2.AsyncClient(**given, limits=limits), config.context_name), config

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        obj: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, Any]]:
        """One request, tried again where that may help.

        Args:
            method: the HTTP method.
            path: the path below the server's address.
            verb: what is asked for, as an error tells it.
            obj: the object, as an error tells it.
            params: the query.
            body: sent as JSON.
            headers: more of them.

        Returns:
            The status, below 400, and the body.

        Raises:
            ApiError: the server refuses it, or does not answer in time.
        """
        with needed():
            import httpx2

        content = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
        begun = time.monotonic()
        pause = 0.1
        while True:
            try:
                async with self._slots:
                    response = await self._client.request(
                        method, path, params=dict(params or {}), content=content, headers=sent
                    )
            except httpx2.TransportError as error:
                bound = self.patience if self._answered else min(_FIRST, self.patience)
                failure = unreachable(self.server, self.context, _words(error))
                wait = pause
            else:
                self._answered = True
                if response.status_code < 400:
                    return response.status_code, _json(response.content)
                status = _json(response.content)
                failure = refused(response.status_code, status, verb, obj, self.context)
                again = response.status_code in _AGAIN and not any(
                    word in str(status.get("message")) for word in _NOT_AGAIN
                )
                if not again:
                    raise failure
                bound = self.patience
                wait = max(_retry_after(response.headers), pause)
            if time.monotonic() - begun + wait > bound:
                raise failure
            await asyncio.sleep(wait * random.uniform(0.8, 1.2))
            pause = min(pause * 2, 5.0)

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        params: Mapping[str, str],
        *,
        verb: str,
        obj: str,
        silence: float | None = None,
    ) -> AsyncIterator[httpx2.Response]:
        """The lines of a response that goes on.

        Args:
            silence: seconds without a byte after which the connection counts as closed.

        Raises:
            ApiError: the server refuses it, or nothing answers. It is not tried again.
        """
        with needed():
            import httpx2

        timeout = httpx2.Timeout(5.0, read=silence, pool=None)
        try:
            async with self._client.stream("GET", path, params=dict(params), timeout=timeout) as response:
                self._answered = True
                if response.status_code >= 400:
                    await response.aread()
                    raise refused(response.status_code, _json(response.content), verb, obj, self.context)
                yield response
        except httpx2.TransportError as error:
            raise unreachable(self.server, self.context, _words(error)) from None

    async def aclose(self) -> None:
        """Close the connections."""
        with suppress(RuntimeError):
            await self._client.aclose()


def _nobody() -> Any:
    from lightkube.config.models import User

    return User()


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content) if content else {}
    except ValueError:
        # A proxy in front answers in its own words.
        return {"message": content[:200].decode(errors="replace")}
    return found if isinstance(found, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(float(headers.get("Retry-After", "0")), 10.0)
    except ValueError:
        return 0.0


def _words(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".").lower()


def temporary(error: ApiError) -> bool:
    """Whether asking again may help."""
    return error.code == 0 or error.code in _AGAIN
