"""What a deployment puts around its model: a transformer, an explainer, or both.

As with KServe, the transformer is around both verbs: an explanation is asked for with what ``preprocess``
gives, and ``postprocess`` has the last word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from millpond.serving.server.callables import Caller
from millpond.serving.server.errors import NoExplainer, Unsupported
from millpond.serving.server.exchange import Call, Reply, Skin
from millpond.serving.server.explainer import Explainer
from millpond.serving.server.rest import dumps, loads
from millpond.serving.server.transformer import Transformer

Predict = Callable[[Skin, Call], Awaitable[Reply]]


class Extensions:
    """The transformer and the explainer of one process.

    Args:
        name: the model's.
        folder: the model's, where both are looked for.
        transformer: its reference, or None.
        explainer: its reference, or None.
        timeout: seconds that a call of either may take; 0 for no limit.

    Raises:
        CallableError: one of them cannot be had.
    """

    def __init__(
        self, name: str, folder: Path, transformer: str | None, explainer: str | None, timeout: float
    ) -> None:
        self.name = name
        caller = Caller(timeout=timeout)
        self._transformer = Transformer(transformer, folder, caller) if transformer else None
        self._explainer = Explainer(explainer, folder, caller) if explainer else None

    @property
    def transforms(self) -> bool:
        """Whether bodies are the transformer's to understand."""
        return self._transformer is not None

    @property
    def explains(self) -> bool:
        """Whether there is an explainer."""
        return self._explainer is not None

    async def answer(self, skin: Skin, call: Call, predict: Predict) -> Reply:
        """The reply to a request.

        Args:
            skin: its protocol; `explains` says which of the two is asked for.
            call: it.
            predict: asks the model.

        Raises:
            RequestError: of the request, of either extension, or of the prediction.
        """

        async def explain(skin: Skin, call: Call) -> Reply:
            return await self._explained(skin, call, predict)

        if skin.explains and call.header_length is not None:
            raise Unsupported("an explanation is asked for in JSON", hint="leave binary data out")
        act = explain if skin.explains else predict
        if self._transformer is None:
            return await act(skin, call)
        return await self._transformer.around(skin, call, act)

    async def _explained(self, skin: Skin, call: Call, predict: Predict) -> Reply:
        if self._explainer is None:
            raise NoExplainer(self.name)
        plain = replace(skin, explains=False)

        async def ask(body: Any) -> Any:
            return loads((await predict(plain, replace(call, body=dumps(body)))).body)

        return Reply(dumps(await self._explainer.explain(loads(call.body), call.headers, ask)))
