"""An explainer: Python of the model's own folder that says why the model predicts what it does.

``explain(body, headers, predict)`` gets the request's JSON object and gives any JSON object. It may leave the
later arguments out. ``predict`` asks the model with such an object and gives its answer; where ``explain`` is
async, it has to be awaited.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from millpond.serving.server.callables import Caller, accepts, made
from millpond.serving.server.errors import ExtensionFailed

METHOD = "explain"
Predict = Callable[[Any], Awaitable[Any]]


class Explainer:
    """The one method of an explainer."""

    def __init__(self, reference: str, folder: Path, caller: Caller) -> None:
        """Import it and make it ready.

        Raises:
            CallableError: see `made`.
        """
        found = made(reference, folder, (METHOD,))
        self._explain = getattr(found, METHOD, None) or found
        self._caller = caller

    async def explain(self, body: Any, headers: Mapping[str, str] | None, predict: Predict) -> dict[str, Any]:
        """The explanation for a request.

        Raises:
            ExtensionFailed: it raised, or gave something else than an object.
        """
        given: list[Any] = [body, dict(headers or {})]
        if accepts(self._explain, 3):
            given.append(predict if inspect.iscoroutinefunction(self._explain) else _blocking(predict))
        found = await self._caller(METHOD, self._explain, *given)
        if not isinstance(found, dict):
            raise ExtensionFailed(METHOD, f"it gave a {type(found).__name__}, not an object")
        return found


def _blocking(predict: Predict) -> Callable[[Any], Any]:
    """`predict` for a function that runs in a thread."""
    loop = asyncio.get_running_loop()
    return lambda body: asyncio.run_coroutine_threadsafe(_made_coroutine(predict, body), loop).result()


async def _made_coroutine(predict: Predict, body: Any) -> Any:
    return await predict(body)
