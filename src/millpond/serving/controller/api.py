"""The controller's REST, in the shape of the Kubernetes API for ``InferenceService``.

A replaced document is answered at once; its ``metadata.generation`` grows with every PUT, and it
has been dealt with when ``status.observedGeneration`` has reached it.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from millpond.model.errors import DocumentError, DocumentErrors, MillpondError
from millpond.serving.controller.deployments import Conflict, Deployments, NotFound
from millpond.serving.inferenceservice import API_VERSION, InferenceService, read

_GROUP = "/apis/serving.kserve.io/v1beta1"
_LIMIT = 1_000_000
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    422: "Invalid",
}
Handler = Callable[[Request], Awaitable[Response]]


def application(deployments: Deployments, token: str) -> Starlette:
    """The ASGI application; `token` is asked for on every path but ``/healthz``."""

    def guarded(handler: Handler) -> Handler:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise HTTPException(401, "the bearer token is missing or wrong")
            return await handler(request)

        return guard

    api = _API(deployments)
    items, item = _GROUP + "/namespaces/{namespace}/inferenceservices", "/{name}"
    routes = [
        Route("/healthz", _healthy),
        Route(f"{_GROUP}/inferenceservices", guarded(api.list), methods=["GET"]),
        Route(items, guarded(api.list), methods=["GET"]),
        Route(items, guarded(api.put), methods=["POST"]),
        Route(items + item, guarded(api.get), methods=["GET"]),
        Route(items + item, guarded(api.put), methods=["PUT"]),
        Route(items + item, guarded(api.delete), methods=["DELETE"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await deployments.begin()
        yield
        await deployments.finish()

    handlers = {HTTPException: _http_error, MillpondError: _millpond_error, Exception: _server_error}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


class _API:
    def __init__(self, deployments: Deployments) -> None:
        self._deployments = deployments

    async def list(self, request: Request) -> Response:
        await self._deployments.refresh()
        items = self._deployments.listed(request.path_params.get("namespace"))
        return JSONResponse({"apiVersion": API_VERSION, "kind": "InferenceServiceList", "items": items})

    async def get(self, request: Request) -> Response:
        await self._deployments.refresh()
        return JSONResponse(self._deployments.get(**request.path_params))

    async def put(self, request: Request) -> Response:
        service = read(await _text(request), "the body")
        wanted = request.path_params
        metadata = service.metadata
        if wanted.get("name", metadata.name) != metadata.name:
            raise HTTPException(400, f"the path names {wanted['name']}, the document {metadata.name}")
        if metadata.namespace != wanted["namespace"]:
            if "namespace" in metadata.model_fields_set:
                raise HTTPException(
                    400, f"the path names namespace {wanted['namespace']}, the document {metadata.namespace}"
                )
            service = _in_namespace(service, wanted["namespace"])
        return JSONResponse(self._deployments.apply(service))

    async def delete(self, request: Request) -> Response:
        return JSONResponse(await self._deployments.delete(**request.path_params))


def _in_namespace(service: InferenceService, namespace: str) -> InferenceService:
    document = service.document()
    document["metadata"]["namespace"] = namespace
    return InferenceService.model_validate(document)


async def _text(request: Request) -> str:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > _LIMIT:
            raise HTTPException(413, f"a document has at most {_LIMIT} bytes")
        chunks.append(chunk)
    try:
        return b"".join(chunks).decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"the body is not UTF-8: {error.reason}") from None


async def _healthy(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _status(error.status_code, error.detail)


async def _millpond_error(request: Request, error: MillpondError) -> Response:
    if isinstance(error, DocumentErrors):
        return _status(422, "; ".join(_sentence(item) for item in error.errors))
    code = 422 if isinstance(error, DocumentError) else 404 if isinstance(error, NotFound) else 500
    return _status(409 if isinstance(error, Conflict) else code, _sentence(error))


async def _server_error(request: Request, error: Exception) -> Response:
    return _status(500, f"the controller failed: {type(error).__name__}")


def _sentence(error: MillpondError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _status(code: int, message: str) -> Response:
    """A failure as the Kubernetes API words it."""
    reason = _REASONS.get(code, "InternalError")
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
    return JSONResponse({**body, "reason": reason, "code": code}, status_code=code)
