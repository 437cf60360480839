"""Prefect's server behind the gateway, whose sign-in stands for the page's own.

The API keeps its password; the gateway presents it for whoever has signed in there. Prefect's pages would
still ask for it, as their settings say that there is one. Here these settings do not, so that nobody has to
sign in twice; who calls the API without the gateway needs the password as before.
"""

from __future__ import annotations

import json
from typing import Any

SETTINGS = "/ui-settings"


def server() -> Any:
    """The ASGI application, for ``uvicorn --factory``."""
    from prefect.server.api.server import create_app

    return SignedIn(create_app(final=True))


class SignedIn:
    """Passes everything on, save for what the pages' settings say of a password."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not scope["path"].endswith(SETTINGS):
            await self.inner(scope, receive, send)
            return
        start: dict[str, Any] = {}
        body = b""

        async def collect(message: dict[str, Any]) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                whole = _without_password(body) if start["status"] == 200 else body
                headers = [
                    (name, value) for name, value in start["headers"] if name.lower() != b"content-length"
                ]
                await send({**start, "headers": [*headers, (b"content-length", str(len(whole)).encode())]})
                await send({"type": "http.response.body", "body": whole})

        # A compressed body could not be read here.
        plain = [(name, value) for name, value in scope["headers"] if name.lower() != b"accept-encoding"]
        await self.inner({**scope, "headers": plain}, receive, collect)


def _without_password(body: bytes) -> bytes:
    try:
        settings = json.loads(body)
    except ValueError:
        return body
    return json.dumps({**settings, "auth": None}).encode()
