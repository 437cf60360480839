"""One call of a step's service: its address, the headers that go along, and its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import aiohttp

from millpond.serving.inferencegraph import Step
from millpond.serving.router.connections import AGENT, canonical, reason, whole
from millpond.serving.router.message import JSON, Message, StepFailed

# Sent with every call, whatever is configured: they join the predictions of one request in logs and traces.
_ALWAYS = ("x-request-id", "traceparent", "tracestate")
_LENGTH = "inference-header-content-length"
_NEVER = frozenset(("content-length", "host", "transfer-encoding", "connection", "accept-encoding", "expect"))


def propagated(
    headers: Iterable[tuple[str, str]], patterns: Sequence[re.Pattern[str]]
) -> list[tuple[str, str]]:
    """The client's headers that go to every step: those whose name a pattern finds, each once."""
    return [
        (name, value)
        for name, value in headers
        if name in _ALWAYS
        or (name not in _NEVER and any(pattern.search(canonical(name)) for pattern in patterns))
    ]


class Steps:
    """Calls the services of one request's steps.

    Args:
        services: the addresses of deployments by name, each with the path that predicts.
        headers: what goes along, see `propagated`.
        seconds: for one call, None for no limit.
        limit: bytes that an answer may have.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        services: dict[str, str],
        headers: list[tuple[str, str]],
        seconds: float | None,
        limit: int,
    ) -> None:
        self._session = session
        self._services = services
        self._headers = headers
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._limit = limit

    async def __call__(self, step: Step, request: Message) -> Message:
        """The service's answer, whatever its status.

        Raises:
            StepFailed: it has no address, cannot be reached, breaks off, or answers too late or too much.
        """
        name = step.name or step.serviceName or step.serviceUrl
        url = step.serviceUrl or self._services.get(step.serviceName)
        if not url:
            raise StepFailed(f"the service {step.serviceName} has no address yet", 503)
        try:
            async with self._session.post(
                url, data=request.body, headers=self._with(request), timeout=self._timeout
            ) as answer:
                body = await whole(answer.content, self._limit)
                if body is None:
                    raise StepFailed(f"the answer of {name} has more than {self._limit} bytes")
                kind = answer.headers.get("content-type")
                return Message(body, answer.status, kind, answer.headers.get(_LENGTH))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise StepFailed(f"{name}: {reason(error)}") from error

    def _with(self, request: Message) -> list[tuple[str, str]]:
        headers = list(self._headers)
        if request.header_length is not None:
            # Binary tensors: without these two the body cannot be read.
            headers = [item for item in headers if item[0] not in (_LENGTH, "content-type")]
            headers.append((_LENGTH, request.header_length))
            headers.append(("content-type", request.type or "application/octet-stream"))
        elif not any(name == "content-type" for name, _ in headers):
            headers.append(("content-type", JSON))
        if not any(name == "user-agent" for name, _ in headers):
            headers.append(("user-agent", AGENT))
        return headers
