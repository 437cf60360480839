"""What travels between the steps of a graph: a body, and what says how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Message:
    """A request's or an answer's body as it came, its status, and its type.

    Args:
        header_length: ``Inference-Header-Content-Length``, without which a body of V2's binary tensor
            extension cannot be read; None for every other body.
    """

    body: bytes
    status: int = 200
    type: str | None = JSON
    header_length: str | None = None

    @property
    def successful(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status <= 299

    def json(self) -> Any:
        """The body's value.

        Raises:
            ValueError: it is not JSON.
        """
        return orjson.loads(self.body)


class StepFailed(Exception):  # noqa: N818 - an outcome that the graph knows, not a fault
    """A step without any answer: the graph ends with this status and cause."""

    def __init__(self, cause: str, status: int = 500) -> None:
        super().__init__(cause)
        self.cause = cause
        self.status = status
