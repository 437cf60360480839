"""The agent's REST interface: owners put their routes, all at once, and learn whether Envoy serves them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route as Endpoint

from millpond.gateway import static, store
from millpond.gateway.access import Doorkeeper
from millpond.gateway.document import parse_owner, parse_routes
from millpond.gateway.envoy import EnvoyAwayError, EnvoyRefusedError, Publisher
from millpond.gateway.routes import HostTakenError, Route, RouteError, RouteTable
from millpond.model.errors import MillpondError

_LONGEST_BODY = 4 << 20
_log = logging.getLogger("millpond.gateway")


class Registry:
    """The route table: kept in a file, served by Envoy, known to the doorkeeper; one change at a time.

    Args:
        path: the file; it holds upstreams' credentials, so it is the owner's alone.
        publisher: tells Envoy.
        doorkeeper: follows the table; while Envoy moves it knows the old and the new routes.
        fixed: the platform's routes, where a file says them; nobody else may put them then.
    """

    def __init__(
        self,
        path: Path,
        publisher: Publisher,
        doorkeeper: Doorkeeper,
        fixed: tuple[Route, ...] | None = None,
    ) -> None:
        self._path = path
        self._publisher = publisher
        self._doorkeeper = doorkeeper
        self._changing = asyncio.Lock()
        self._fixed = fixed is not None
        self.table = load_table(path, fixed)
        doorkeeper.table = self.table

    async def replace(self, owner: str, routes: tuple[Route, ...]) -> None:
        """Exchange one owner's routes; returns when they are served and kept.

        Raises:
            RouteError: they cannot be had, or come from a file.
            EnvoyAwayError, EnvoyRefusedError: Envoy does not serve them; nothing was changed.
        """
        if self._fixed and owner == static.OWNER:
            raise HostTakenError(
                f"the routes of {owner} come from a file, so they cannot be put", hint="change the file"
            )
        async with self._changing:
            before = self.table
            after = before.replace(owner, routes)
            self._doorkeeper.table = before.overlay(after)
            try:
                await self._publisher.publish(before, after)
                self._keep(before, after)
            except BaseException:
                self._doorkeeper.table = before
                raise
            self.table = self._doorkeeper.table = after
            _log.info("%s has %d route(s)", owner, len(routes))

    def _keep(self, before: RouteTable, after: RouteTable) -> None:
        try:
            store.write(self._path, {"owners": after.as_dict(secrets=True)})
        except OSError:
            self._publisher.go_back(before)
            raise


def load_table(path: Path, fixed: tuple[Route, ...] | None = None) -> RouteTable:
    """The routes that were kept, and in the place of the platform's those of its file.

    Raises:
        MillpondError: the file is not readable as routes.
    """
    table = RouteTable()
    if fixed is not None:
        table = table.replace(static.OWNER, fixed)
    for owner, routes in ((store.read(path) or {}).get("owners") or {}).items():
        if fixed is None or owner != static.OWNER:
            table = table.replace(parse_owner(owner), parse_routes({"routes": routes}))
    return table


def application(registry: Registry, publisher: Publisher, doorkeeper: Doorkeeper, token: str) -> Starlette:
    """The REST interface as an ASGI application; all but the health checks ask for the bearer token."""
    expected = hashlib.sha256(f"Bearer {token}".encode()).digest()

    def refused(request: Request) -> Response | None:
        given = request.headers.get("authorization", "").encode("utf-8", "replace")
        if hmac.compare_digest(hashlib.sha256(given).digest(), expected):
            return None
        return _error(
            401, MillpondError("the gateway's agent needs its token", hint="set MILLPOND_GATEWAY_TOKEN")
        )

    async def ready(request: Request) -> Response:
        serves = await publisher.ready()
        return JSONResponse({"ready": serves}, status_code=200 if serves else 503)

    async def alive(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def listing(request: Request) -> Response:
        return refused(request) or JSONResponse(_listing(registry.table, doorkeeper))

    async def statistics(request: Request) -> Response:
        denial = refused(request)
        if denial is not None:
            return denial
        try:
            return JSONResponse({"upstreams": await publisher.statistics(registry.table)})
        except EnvoyAwayError as error:
            return _error(503, error)

    async def owner(request: Request) -> Response:
        denial = refused(request)
        if denial is not None:
            return denial
        try:
            name = parse_owner(request.path_params["owner"])
            routes = () if request.method == "DELETE" else parse_routes(await _body(request))
            await registry.replace(name, routes)
        except RouteError as error:
            return _error(409 if isinstance(error, HostTakenError) else 422, error)
        except EnvoyRefusedError as error:
            return _error(422, error)
        except EnvoyAwayError as error:
            return _error(503, error)
        except OSError as error:
            kept = MillpondError(
                f"the gateway cannot write its files: {error.strerror}", hint="millpond doctor"
            )
            return _error(507, kept)
        return JSONResponse({"owner": name, "urls": _urls(routes, doorkeeper)})

    return Starlette(
        routes=[
            Endpoint("/alive", alive),
            Endpoint("/ready", ready),
            Endpoint("/routes", listing),
            Endpoint("/statistics", statistics),
            Endpoint("/routes/{owner}", owner, methods=["PUT", "DELETE"]),
        ]
    )


async def _body(request: Request) -> object:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise RouteError("the body is larger than 4 MiB")
    try:
        return json.loads(body)
    except ValueError as error:
        raise RouteError(f"the body is not JSON: {error}") from error


def _urls(routes: tuple[Route, ...], doorkeeper: Doorkeeper) -> list[str]:
    return list(dict.fromkeys(doorkeeper.site.origin(route.host) for route in routes))


def _listing(table: RouteTable, doorkeeper: Doorkeeper) -> dict[str, object]:
    return {
        "owners": table.as_dict(secrets=False),
        "urls": {host: doorkeeper.site.origin(host) for host in table.hosts()},
    }


def _error(status: int, error: MillpondError) -> Response:
    return JSONResponse({"error": error.message, "hint": error.hint}, status_code=status)
