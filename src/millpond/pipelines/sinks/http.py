"""The sink ``http``: an output is sent to an address, whole, and sent again only when it changes."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from millpond.lake.reference import Reference
from millpond.model.errors import MillpondError
from millpond.pipelines.codec import encode
from millpond.pipelines.extension import Keys, Problem, Sink, StepCall
from millpond.pipelines.steps.http import send
from millpond.pipelines.task import OutputTask

_TYPES = {
    "table": "text/csv",
    "json": "application/json",
    "number": "application/json",
    "model": "application/json",
}


class HttpSinkKeys(Keys):
    """Where to, and how."""

    url: str = Field(description="Where to, with http:// or https://")
    method: Literal["POST", "PUT"] = Field(default="POST", description="The request's method")
    headers_from: dict[str, str] = Field(
        default_factory=dict, description="Headers whose values are in variables of the environment, by name"
    )


class HttpSink(Sink):
    """Sends a value: tables as CSV, small values as JSON or text, files as they are."""

    keys = HttpSinkKeys

    def check(self, port_type: str, keys: HttpSinkKeys) -> Iterable[Problem]:
        """An address of HTTP, and something to send."""
        if not keys.url.startswith(("http://", "https://", "${")):
            yield Problem(("url",), f"{keys.url} is no address of HTTP", "begin it with http:// or https://")
        if port_type == "reference":
            yield Problem(("sink",), "a reference is not sent anywhere")

    def write(self, value: Any, port: OutputTask, call: StepCall) -> Reference:
        """Send it; see `Sink.write`.

        Raises:
            MillpondError: the other side does not answer, or refuses.
        """
        keys = HttpSinkKeys.model_validate(port.keys)
        encoded = encode(value, port.type, ".csv" if port.type == "table" else "")
        data = encoded.source.read_bytes() if isinstance(encoded.source, Path) else encoded.source
        kind = {"text": "text/plain; charset=utf-8"}.get(port.type) or _TYPES.get(
            port.type, "application/octet-stream"
        )
        headers = {
            "Content-Type": kind,
            "Idempotency-Key": f"{call.context.run_id}.{call.context.step}.{port.name}",
        }
        for header, name in keys.headers_from.items():
            if name not in os.environ:
                raise MillpondError(f"the variable {name} for the header {header} is not set")
            headers[header] = os.environ[name]
        status, answer = send(urllib.request.Request(keys.url, data, headers, method=keys.method), 60)
        if status >= 400:
            shown = answer[:300].decode(errors="replace")
            message = f"{keys.method} {keys.url} answered {status}"
            raise MillpondError(message, details=[shown] if shown else [])
        digest = hashlib.sha256(data).hexdigest()
        return Reference(keys.url, None, digest, len(data), port.type, encoded.rows)

    def exists(self, reference: Reference, port: OutputTask) -> bool:
        """What was taken once is not sent again."""
        return True
