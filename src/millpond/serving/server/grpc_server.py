"""The Open Inference Protocol (V2) over gRPC, in the same process and the same event loop as REST.

Messages are handed over as bytes and parsed here, so that a malformed one is an INVALID_ARGUMENT, where
grpcio's own parsing would make an INTERNAL of it, and so that the prediction log has what came. Requests
are read as a stream of one message: so the time that a client takes to send it can be limited, and it counts
as waiting meanwhile, as over REST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc import StatusCode

from millpond.model.errors import MillpondError
from millpond.serving.openinference import METHODS, SERVICE
from millpond.serving.server import grpc_messages
from millpond.serving.server.arguments import Limits
from millpond.serving.server.errors import InvalidRequest, TooSlow
from millpond.serving.server.exchange import Call, Exchange, Reply, Skin, identity, refusal
from millpond.serving.server.grpc_messages import parsed, put
from millpond.serving.server.repository import Repository
from millpond.serving.server.tensors import Prediction, Request

_SHADOW = "x-millpond-shadow"
_IDLE_MS = 300_000
_CODES = {
    400: StatusCode.INVALID_ARGUMENT,
    404: StatusCode.NOT_FOUND,
    408: StatusCode.DEADLINE_EXCEEDED,
    409: StatusCode.FAILED_PRECONDITION,
    413: StatusCode.RESOURCE_EXHAUSTED,
    415: StatusCode.UNIMPLEMENTED,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}
Answer = Callable[[Any], Any]


class GrpcServer:
    """Serves one data plane's exchange under the protocol's nine methods."""

    def __init__(self, exchange: Exchange, limits: Limits) -> None:
        self.exchange = exchange
        self.plane = exchange.plane
        self.repository = Repository(exchange.plane)
        self.limits = limits
        self._skin = Skin("grpc-v2", self._read, self._write, _refuse)
        self._answers: dict[str, Answer] = {
            "ServerLive": self._live,
            "ServerReady": lambda message: {"ready": self.plane.ready},
            "ModelReady": self._model_ready,
            "ServerMetadata": lambda message: self.plane.server_metadata(),
            "RepositoryIndex": lambda message: {"models": self.repository.index(message.ready)},
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        self._server: Any = None

    async def start(self, host: str, port: int) -> None:
        """Listen.

        Raises:
            MillpondError: the port is taken.
        """
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 0),  # another server's port is taken, not shared
                ("grpc.max_receive_message_length", self.limits.body),
                ("grpc.max_send_message_length", -1),
                ("grpc.server_handshake_timeout_ms", round(self.limits.head_seconds * 1000)),
                ("grpc.max_connection_idle_ms", _IDLE_MS),
            ]
        )
        handlers = {name: self._handler(name) for name in METHODS}
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            self._server.add_insecure_port(at)
        except RuntimeError as error:
            raise MillpondError(f"port {port} of {host} is taken") from error
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Finish what was begun, for `grace` seconds at most."""
        if self._server is not None:
            await self._server.stop(grace)

    def _handler(self, name: str) -> Any:
        path = f"/{SERVICE}/{name}"
        work = self._infer if name == "ModelInfer" else self._asked(name)

        async def serve(messages: Any, context: Any) -> bytes:
            found = dict(context.invocation_metadata())
            asked = identity(_text(found.get("x-request-id")))
            call = Call(
                path,
                asked,
                media_type="application/grpc",
                shadow=found.get(_SHADOW) == "true",
                headers=found,
            )
            await context.send_initial_metadata(
                (("x-request-id", asked), ("x-millpond-revision", self.plane.revision))
            )
            reply = await work(call, lambda: self._message(context))
            if reply.status != 200:
                code = _CODES.get(reply.status, StatusCode.INTERNAL)
                await context.abort(code, reply.body.decode(errors="replace"))
            return reply.body

        return grpc.stream_unary_rpc_method_handler(serve)

    async def _message(self, context: Any) -> bytes:
        """The request's one message, within the time that a client has to send it."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                message = await context.read()
        except TimeoutError:
            raise TooSlow(self.limits.seconds) from None
        if message is grpc.aio.EOF:
            raise InvalidRequest("the request has no message")
        return bytes(message)

    async def _infer(self, call: Call, receive: Callable[[], Awaitable[bytes]]) -> Reply:
        return await self.exchange.answer(self._skin, call, receive)

    def _read(self, call: Call) -> Request:
        request, message = grpc_messages.read(call.body)
        self.plane.check(message.model_name, message.model_version or None)
        return request

    def _write(self, prediction: Prediction, request: Request, call: Call) -> Reply:
        name, version = self.plane.name, self.plane.version
        body = grpc_messages.write(prediction, name, version, request.id or call.identity, request)
        return Reply(body, media_type="application/grpc")

    def _asked(self, name: str) -> Callable[[Call, Callable[[], Awaitable[bytes]]], Awaitable[Reply]]:
        """What answers one of the methods that do not predict."""
        wanted, given = METHODS[name]
        answer = self._answers.get(name)

        async def work(call: Call, receive: Callable[[], Awaitable[bytes]]) -> Reply:
            try:
                message = parsed(wanted, await receive())
                found = given(**answer(message)) if answer is not None else self._metadata(given, message)
                return Reply(found.SerializeToString())
            except Exception as error:
                return _refuse(*refusal(error, call.path, call.identity))

        return work

    def _live(self, message: Any) -> dict[str, bool]:
        self.plane.check_life()
        return {"live": True}

    def _model_ready(self, message: Any) -> dict[str, bool]:
        self.plane.check(message.name, message.version or None)
        return {"ready": self.plane.ready}

    def _metadata(self, given: Any, message: Any) -> Any:
        self.plane.check(message.name, message.version or None)
        found = self.plane.model_metadata()
        answer = given(name=found["name"], versions=found["versions"], platform=found["platform"])
        for fields, into in ((found["inputs"], answer.inputs), (found["outputs"], answer.outputs)):
            for field in fields:
                item = into.add(name=field["name"], datatype=field["datatype"], shape=field["shape"])
                put(item.parameters, field["parameters"])
        put(answer.parameters, found["parameters"])
        return answer

    def _load(self, message: Any) -> dict[str, Any]:
        name = _model(message)
        self.repository.load(name, parameters=bool(message.parameters))
        return {"model_name": name, "isLoaded": True}

    def _unload(self, message: Any) -> dict[str, Any]:
        self.repository.unload(_model(message))
        return {}


def _model(message: Any) -> str:
    """The model's name: KServe's clients send it in the field where others have the repository's name."""
    return str(message.model_name or message.repository_name)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _refuse(status: int, sentence: str) -> Reply:
    return Reply(sentence.encode(), status, "text/plain")
