"""A transformer: Python of the model's own folder around every prediction.

It is what KServe's ``Model`` has: ``preprocess(body, headers)`` gets the request's JSON object and gives the
one that the model is asked with, ``postprocess(body, headers)`` gets the answer and gives the one that the
client gets; a function alone is ``preprocess``. Either may leave ``headers`` out, and may be async. Over
gRPC and with binary tensors both see the JSON of the V2 protocol.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from millpond.serving.server import v2
from millpond.serving.server.callables import Caller, made
from millpond.serving.server.datatypes import DTYPES
from millpond.serving.server.errors import ExtensionFailed, Unsupported
from millpond.serving.server.exchange import Call, Reply, Skin
from millpond.serving.server.rest import dumps, loads
from millpond.serving.server.tensors import Output, Prediction, Request, Tensor

METHODS = ("preprocess", "postprocess")
Predict = Callable[[Skin, Call], Awaitable[Reply]]


class Transformer:
    """Both sides of a transformer; a side that it does not have changes nothing."""

    def __init__(self, reference: str, folder: Path, caller: Caller) -> None:
        """Import it and make it ready.

        Raises:
            CallableError: see `made`.
        """
        found = made(reference, folder, METHODS)
        self._before = getattr(found, METHODS[0], None)
        self._after = getattr(found, METHODS[1], None)
        if self._before is None and self._after is None:
            self._before = found
        self._caller = caller

    async def before(self, body: Any, headers: Mapping[str, str] | None) -> dict[str, Any]:
        """The body that the model is asked with.

        Raises:
            ExtensionFailed: it raised, or gave something else than an object.
        """
        return await self._turned(self._before, METHODS[0], body, headers)

    async def after(self, body: Any, headers: Mapping[str, str] | None) -> dict[str, Any]:
        """The body that the client gets.

        Raises:
            ExtensionFailed: it raised, or gave something else than an object.
        """
        return await self._turned(self._after, METHODS[1], body, headers)

    async def around(self, skin: Skin, call: Call, predict: Predict) -> Reply:
        """The reply to a request, asked of `predict` as the transformer wants it.

        Raises:
            RequestError: of the request, the transformer, or the prediction.
        """
        if skin.name == "grpc-v2" or call.header_length is not None:
            return await self._around_tensors(skin, call, predict)
        if self._before is not None:
            call = replace(call, body=dumps(await self.before(loads(call.body), call.headers)))
        reply = await predict(skin, call)
        if self._after is None:
            return reply
        if reply.header_length is not None:
            raise Unsupported("behind a transformer answers are JSON", hint="leave binary_data_output out")
        return Reply(dumps(await self.after(loads(reply.body), call.headers)))

    async def _around_tensors(self, skin: Skin, call: Call, predict: Predict) -> Reply:
        """The same for what is no JSON on the wire: made JSON, and the answer written as it was asked for."""
        request = skin.read(call)
        body = await self.before(_body_of(request), call.headers)
        plain = Skin(skin.name, lambda call: v2.read(loads(call.body)), _as_json, skin.refuse)
        reply = await predict(plain, replace(call, body=dumps(body), header_length=None))
        return skin.write(_prediction_of(await self.after(loads(reply.body), call.headers)), request, call)

    async def _turned(
        self, function: Any, said: str, body: Any, headers: Mapping[str, str] | None
    ) -> dict[str, Any]:
        if function is None:
            found = body
        else:
            found = await self._caller(said, function, body, dict(headers or {}))
        if not isinstance(found, dict):
            raise ExtensionFailed(said, f"it gave a {type(found).__name__}, not an object")
        return found


def _body_of(request: Request) -> dict[str, Any]:
    """A request as the V2 protocol's JSON."""
    body: dict[str, Any] = {"inputs": [_input_of(tensor) for tensor in request.inputs]}
    if request.id is not None:
        body["id"] = request.id
    parameters = dict(request.parameters)
    if request.content_type is not None:
        parameters["content_type"] = request.content_type
    if parameters:
        body["parameters"] = parameters
    return body


def _input_of(tensor: Tensor) -> dict[str, Any]:
    data = tensor.data.tolist() if hasattr(tensor.data, "tolist") else list(tensor.data)
    content_type = tensor.content_type
    if data and isinstance(data[0], bytes):
        data, content_type = _texts(data, content_type)
    found: dict[str, Any] = {
        "name": tensor.name,
        "datatype": tensor.datatype or "BYTES",
        "shape": list(tensor.shape),
    }
    if content_type is not None:
        found["parameters"] = {"content_type": content_type}
    return {**found, "data": data}


def _texts(data: list[bytes], content_type: str | None) -> tuple[list[str], str | None]:
    """Bytes as JSON can hold them: their text, or base64 where they are none."""
    try:
        return [each.decode() for each in data], content_type
    except UnicodeDecodeError:
        return [base64.b64encode(each).decode() for each in data], "base64"


def _as_json(prediction: Prediction, request: Request, call: Call) -> Reply:
    answer, _ = v2.write(prediction, "", "", request.id or call.identity, replace(request, binary=False))
    return Reply(dumps(answer))


def _prediction_of(answer: dict[str, Any]) -> Prediction:
    """The outputs of the V2 protocol's JSON.

    Raises:
        ExtensionFailed: it is not that any more.
    """
    try:
        content_type = (answer.get("parameters") or {}).get("content_type")
        return Prediction([_output_of(item) for item in answer["outputs"]], content_type)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ExtensionFailed(
            METHODS[1], f"what it gave has no outputs of the V2 protocol: {error}"
        ) from error


def _output_of(item: dict[str, Any]) -> Output:
    datatype = item["datatype"]
    data = item["data"] if datatype == "BYTES" else np.array(item["data"], dtype=DTYPES[datatype]).ravel()
    content_type = (item.get("parameters") or {}).get("content_type")
    return Output(item["name"], datatype, list(item["shape"]), data, content_type)
