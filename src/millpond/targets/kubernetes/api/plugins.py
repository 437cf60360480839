"""Credentials by a program that the kubeconfig names: cloud vendors' logins.

lightkube runs those of v1beta1; this speaks v1 as well and says what is missing. The protocol:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from millpond.model.errors import MillpondError

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_SLACK = timedelta(seconds=30)


class PluginAuth(httpx2.Auth):
    """Bearer tokens from a credential plugin, asked for anew when they run out or are refused."""

    def __init__(
        self, api_version: str, command: str, args: list[str], env: dict[str, str], hint: str | None
    ) -> None:
        self._api_version = api_version
        self._command = [command, *args]
        self._env = env
        self._hint = hint
        self._token = ""
        self._until: datetime | None = None
        self._lock = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """A request with a token; once more with a new one where the first is refused."""
        token = await self._current(None)
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {await self._current(token)}"
            yield request

    async def _current(self, refused: str | None) -> str:
        async with self._lock:
            over = self._until is not None and datetime.now(UTC) + _SLACK >= self._until
            if not self._token or over or self._token == refused:
                status = await self._ask()
                self._token = status["token"]
                until = status.get("expirationTimestamp")
                self._until = datetime.fromisoformat(until) if until else None
        return self._token

    async def _ask(self) -> dict[str, Any]:
        name = self._command[0]
        if self._api_version not in _VERSIONS:
            raise MillpondError(
                f"the kubeconfig's credential plugin {name} speaks {self._api_version}, which is not known",
                hint=f"write the kubeconfig anew with a plugin of {_VERSIONS[0]}",
            )
        asked = {"kind": "ExecCredential", "apiVersion": self._api_version, "spec": {"interactive": False}}
        env = {**os.environ, **self._env, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise MillpondError(
                f"the kubeconfig's credential plugin {name} cannot be run: {error.strerror}",
                hint=self._hint or f"install {name}, or put it on PATH",
            ) from None
        out, err = await process.communicate()
        if process.returncode:
            raise MillpondError(
                f"the kubeconfig's credential plugin {name} ended with {process.returncode}",
                hint="sign in with it again",
                details=err.decode(errors="replace").splitlines()[-10:],
            )
        try:
            status = json.loads(out)["status"]
            status["token"]
        except (ValueError, KeyError, TypeError):
            raise MillpondError(
                f"the kubeconfig's credential plugin {name} gave no token",
                hint="certificates from a plugin are not supported; use one that gives tokens",
            ) from None
        return dict(status)
