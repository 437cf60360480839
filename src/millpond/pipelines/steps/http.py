"""A step that sends one HTTP request; the answer's body is its output."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from millpond.model.errors import MillpondError
from millpond.pipelines.document import Duration, Step
from millpond.pipelines.extension import Keys, Problem, StepCall, StepKind


class HttpKeys(Keys):
    """The request, and which answers are good."""

    url: str = Field(description="Where to, with http:// or https://")
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = Field(
        default="GET", description="The request's method"
    )
    headers: dict[str, str] = Field(default_factory=dict, description="Headers; nothing secret belongs here")
    headers_from: dict[str, str] = Field(
        default_factory=dict, description="Headers whose values are in variables of the environment, by name"
    )
    json_: Any = Field(default=None, alias="json", description="A body of JSON, in place of the input `body`")
    answer_within: Duration = Field(default=60.0, description="How long the answer may take")
    good: list[int] = Field(default_factory=list, description="Good statuses; all below 400 without them")


class HttpStep(StepKind):
    """Sends a request. It runs every time, as nobody knows what stands behind an address."""

    keys = HttpKeys
    cacheable = False

    def check(self, step: Step, keys: HttpKeys, folder: Path, strict: bool) -> Iterable[Problem]:
        """An address of HTTP; one input at most, the body; one output at most, the answer."""
        if not keys.url.startswith(("http://", "https://", "${")):
            yield Problem(("url",), f"{keys.url} is no address of HTTP", "begin it with http:// or https://")
        for port in step.inputs:
            if port != "body":
                yield Problem(("inputs", port), f"a request has no input {port}", "its input is body")
        if "body" in step.inputs and keys.json_ is not None:
            yield Problem(("json",), "the request has the input body as well")
        if len(step.outputs) > 1:
            yield Problem(("outputs",), "a request has one output, the answer's body")

    def run(self, call: StepCall) -> Mapping[str, Any]:
        """Send the request and return the body.

        Raises:
            MillpondError: no answer came, its status is bad, or a variable of `headers_from` is not set.
        """
        keys: HttpKeys = call.keys
        headers = dict(keys.headers)
        for header, name in keys.headers_from.items():
            if name not in os.environ:
                raise MillpondError(
                    f"the variable {name} for the header {header} is not set",
                    hint=f"set it where the run is started, and name it in MILLPOND_FORWARD: {name}",
                )
            headers[header] = os.environ[name]
        data = None
        if keys.json_ is not None:
            data = json.dumps(keys.json_, default=str).encode()
            headers.setdefault("Content-Type", "application/json")
        elif "body" in call.inputs:
            data = call.local("body").read_bytes()
        request = urllib.request.Request(keys.url, data, headers, method=keys.method)
        status, body = send(request, keys.answer_within)
        call.context.log.info("%s %s answered %d with %d bytes", keys.method, keys.url, status, len(body))
        if status not in keys.good if keys.good else status >= 400:
            shown = body[:300].decode(errors="replace")
            raise MillpondError(
                f"{keys.method} {keys.url} answered {status}", details=[shown] if shown else []
            )
        return {port: _value(body, task.type, call) for port, task in call.outputs.items()}


def send(request: urllib.request.Request, seconds: float) -> tuple[int, bytes]:
    """The status and body of an answer, whatever the status.

    Raises:
        MillpondError: there is none.
    """
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise MillpondError(f"{request.full_url} cannot be reached: {reason}") from None


def _value(body: bytes, kind: str, call: StepCall) -> Any:
    if kind == "json":
        try:
            return json.loads(body)
        except ValueError as error:
            raise MillpondError(f"the answer is no JSON: {error}") from None
    if kind == "number":
        return float(body)
    if kind == "text":
        return body.decode()
    target = call.context.folder / "answer"
    target.write_bytes(body)
    return target
