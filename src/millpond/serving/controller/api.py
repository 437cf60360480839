"""The controller's REST, in the shape of the Kubernetes API for ``InferenceService`` and ``InferenceGraph``.

A replaced document is answered at once; its ``metadata.generation`` grows with every PUT, and it
has been dealt with when ``status.observedGeneration`` has reached it.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from millpond.model.errors import DocumentError, DocumentErrors, MillpondError
from millpond.serving import inferencegraph
from millpond.serving.controller.deployments import Conflict, Deployments, NotFound
from millpond.serving.controller.graphs import Graphs
from millpond.serving.inferenceservice import API_VERSION, InferenceService, read

_GROUP = "/apis/serving.kserve.io/v1beta1"
_GRAPHS = "/apis/serving.kserve.io/v1alpha1"
_PATIENCE = 120.0
"""The longest that a caller may wait for a process, in seconds."""
_LIMIT = 1_000_000
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    413: "RequestEntityTooLarge",
    422: "Invalid",
    503: "ServiceUnavailable",
}
Handler = Callable[[Request], Awaitable[Response]]


def application(deployments: Deployments, graphs: Graphs, token: str) -> Starlette:
    """The ASGI application; `token` is asked for on every path but ``/healthz``."""

    def guarded(handler: Handler) -> Handler:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise HTTPException(401, "the bearer token is missing or wrong")
            return await handler(request)

        return guard

    api = _API(deployments, graphs)
    pictures = _GRAPHS + "/namespaces/{namespace}/inferencegraphs"
    items, item = _GROUP + "/namespaces/{namespace}/inferenceservices", "/{name}"
    routes = [
        Route("/healthz", _healthy),
        Route(f"{_GROUP}/inferenceservices", guarded(api.list), methods=["GET"]),
        Route(items, guarded(api.list), methods=["GET"]),
        Route(items, guarded(api.put), methods=["POST"]),
        Route(items + item, guarded(api.get), methods=["GET"]),
        Route(items + item, guarded(api.put), methods=["PUT"]),
        Route(items + item, guarded(api.delete), methods=["DELETE"]),
        Route(f"{_GRAPHS}/inferencegraphs", guarded(api.list_graphs), methods=["GET"]),
        Route(pictures, guarded(api.list_graphs), methods=["GET"]),
        Route(pictures + item, guarded(api.get_graph), methods=["GET"]),
        Route(pictures + item, guarded(api.put_graph), methods=["PUT"]),
        Route(pictures + item, guarded(api.delete_graph), methods=["DELETE"]),
        Route("/internal/wake" + item, guarded(api.wake), methods=["POST"]),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await deployments.begin()
        await graphs.begin()
        yield
        await deployments.finish()

    handlers = {HTTPException: _http_error, MillpondError: _millpond_error, Exception: _server_error}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


class _API:
    def __init__(self, deployments: Deployments, graphs: Graphs) -> None:
        self._deployments = deployments
        self._graphs = graphs

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
        _check_name(wanted, metadata.name)
        if metadata.name in self._graphs.names():
            raise Conflict(f"{metadata.name} is the name of a graph", hint="choose another")
        if metadata.namespace != wanted["namespace"]:
            if "namespace" in metadata.model_fields_set:
                raise HTTPException(
                    400, f"the path names namespace {wanted['namespace']}, the document {metadata.namespace}"
                )
            service = _in_namespace(service, wanted["namespace"])
        return JSONResponse(self._deployments.apply(service))

    async def delete(self, request: Request) -> Response:
        found = await self._deployments.delete(**request.path_params)
        await self._graphs.refresh()
        return JSONResponse(found)

    async def wake(self, request: Request) -> Response:
        name = request.path_params["name"]
        try:
            patience = min(float(request.query_params.get("timeout", 60)), _PATIENCE)
        except ValueError:
            raise HTTPException(400, "timeout is not a number of seconds") from None
        try:
            addresses = await self._deployments.awake(name, patience)
        except NotFound:
            raise
        except MillpondError as error:
            raise HTTPException(503, _sentence(error)) from None
        return JSONResponse({"addresses": addresses})

    # Graphs

    async def list_graphs(self, request: Request) -> Response:
        items = self._graphs.listed(request.path_params.get("namespace"))
        kind = {"apiVersion": inferencegraph.API_VERSION, "kind": "InferenceGraphList"}
        return JSONResponse({**kind, "items": items})

    async def get_graph(self, request: Request) -> Response:
        return JSONResponse(_graph(request, self._graphs.get(**request.path_params)))

    async def put_graph(self, request: Request) -> Response:
        graph = inferencegraph.read(await _text(request), "the body")
        _check_name(request.path_params, graph.metadata.name)
        if graph.metadata.name in self._deployments.names():
            raise Conflict(f"{graph.metadata.name} is the name of a deployment", hint="choose another")
        return JSONResponse(await self._graphs.apply(graph))

    async def delete_graph(self, request: Request) -> Response:
        return JSONResponse(_graph(request, await self._graphs.delete(**request.path_params)))


def _check_name(wanted: dict[str, str], name: str) -> None:
    if wanted.get("name", name) != name:
        raise HTTPException(400, f"the path names {wanted['name']}, the document {name}")


def _graph(request: Request, found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        wanted = request.path_params
        raise NotFound(f"there is no graph {wanted['name']} in namespace {wanted['namespace']}")
    return found


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
