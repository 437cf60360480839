"""Calls to an engine's API: JSON over HTTP, with its mistakes in a sentence. Standard library only."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from millpond.model.errors import MillpondError

_TIMEOUT = 60.0


class RestError(MillpondError):
    """The engine refused a call.

    Attributes:
        status: HTTP's, 0 where the engine was not reached.
    """

    def __init__(self, message: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Rest:
    """An API below one address.

    Args:
        engine: its name, for messages.
        url: the address that all paths are below.
        authorization: the header of that name, secret.
    """

    def __init__(self, engine: str, url: str, authorization: str | None = None) -> None:
        self.engine = engine
        self.url = url.rstrip("/")
        self.authorization = authorization

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """What the API answers; None for nothing.

        Raises:
            RestError: it cannot be reached, or refuses.
        """
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.authorization:
            headers["Authorization"] = self.authorization
        data = None if body is None else json.dumps(body, default=str).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                reason = _reason(error.read())
            hint = "is the token or password right?" if error.code in (401, 403) else None
            raise RestError(
                f"{self.engine} answered {method} {path} with {error.code}: {reason}", error.code, hint
            ) from None
        except (OSError, ValueError) as error:
            raise RestError(
                f"{self.engine} at {self.url} cannot be reached: {error}",
                0,
                "`millpond status` shows whether it runs",
            ) from None
        return json.loads(text) if text else None


def _reason(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return body.decode(errors="replace")[:200]
    if isinstance(found, dict):
        found = (
            found.get("detail") or found.get("exception_detail") or found.get("exception_message") or found
        )
    return str(found)[:300]
