"""The API of the component: code is sent by digest, runs are asked for, looked at and stopped.

Every path but ``/healthz`` asks who calls: a token (``Authorization: Bearer``), which is limited to its
pipelines, or the component's own password (HTTP Basic), which the gateway presents for whoever has signed in
there and which alone mints tokens. Answers that are errors are JSON: ``error``, ``hint``, and ``by`` so that
a client knows that it has come to the right place.

================================================  =========================================================
``GET /api/v1``                                   who the caller is
``GET, PUT /api/v1/code/DIGEST``                  is it there; send the zip of a pipeline's folder
``POST /api/v1/runs``                             `Submission`: run code that was sent, and hand it over
``GET /api/v1/runs/ID``                           state, steps, results
``GET /api/v1/runs/ID/steps/STEP/log``            what a step printed, as text
``POST /api/v1/runs/ID/cancel``                   stop it
``GET /api/v1/pipelines``                         what was handed over
``GET, PUT, DELETE /api/v1/pipelines/NAME``       one; `Deployment`; forget it
``POST /api/v1/pipelines/NAME/runs``              `Start`: run what was handed over
``GET, POST /api/v1/tokens``                      list; ``name``, ``pipelines``, ``days``: mint
``DELETE /api/v1/tokens/NAME``                    revoke
================================================  =========================================================
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from millpond.model.errors import DocumentErrors, MillpondError, UsageError
from millpond.pipelines.bundle import LARGEST
from millpond.pipelines.server import pages
from millpond.pipelines.server.client import BY
from millpond.pipelines.server.desk import Deployment, Desk, MissingError, Start, Submission, read_body
from millpond.pipelines.server.ledger import AbsentError, Entry
from millpond.pipelines.server.tokens import Token, Tokens
from millpond.pipelines.server.views import pipeline_view, run_view

USER = "millpond"
_BODY = 4 << 20
"""The most bytes of a JSON body."""


@dataclass(frozen=True)
class Caller:
    """Who asks: somebody with a token, or (no token) the platform's user."""

    name: str
    token: Token | None = None

    def require(self, pipeline: str) -> None:
        """Refuse what the token is not for."""
        if self.token is not None and not self.token.may(pipeline):
            meant = ", ".join(self.token.pipelines)
            raise HTTPException(403, f"the token {self.name} is for {meant}, not for {pipeline}")

    def require_owner(self) -> None:
        """Refuse all tokens."""
        if self.token is not None:
            raise HTTPException(403, "a token cannot do this; the platform's user can")


Answer = Callable[[Request, Caller, Any], Response]


def application(desk: Desk, tokens: Tokens, password: str) -> Starlette:
    """The ASGI application; the desk works as long as it lives."""
    keeper = _Keeper(tokens, password)
    api = _Api(desk, tokens)

    def route(path: str, **methods: tuple[Answer, int | None]) -> Route:
        """A path; each method with the most bytes of its body, or None for no body."""

        async def answer(request: Request) -> Response:
            caller = await run_in_threadpool(keeper.caller, request)
            handler, limit = methods["GET" if request.method == "HEAD" else request.method]
            body = None if limit is None else await _body(request, limit)
            return await run_in_threadpool(handler, request, caller, body)

        return Route(path, answer, methods=list(methods))

    routes = [
        Route("/healthz", _healthy),
        route("/", GET=(api.index, None)),
        route("/pipelines/{name}", GET=(api.pipeline_page, None)),
        route("/runs/{run}", GET=(api.run_page, None)),
        route("/runs/{run}/steps/{step}/log", GET=(api.log_page, None)),
        route("/api/v1", GET=(api.whoami, None)),
        route("/api/v1/code/{digest}", GET=(api.has_code, None), PUT=(api.put_code, LARGEST)),
        route("/api/v1/runs", POST=(api.submit, _BODY)),
        route("/api/v1/runs/{run}", GET=(api.run, None)),
        route("/api/v1/runs/{run}/cancel", POST=(api.cancel, _BODY)),
        route("/api/v1/runs/{run}/steps/{step}/log", GET=(api.log, None)),
        route("/api/v1/pipelines", GET=(api.pipelines, None)),
        route(
            "/api/v1/pipelines/{name}",
            GET=(api.pipeline, None),
            PUT=(api.deploy, _BODY),
            DELETE=(api.withdraw, None),
        ),
        route("/api/v1/pipelines/{name}/runs", POST=(api.start, _BODY)),
        route("/api/v1/tokens", GET=(api.tokens, None), POST=(api.mint, _BODY)),
        route("/api/v1/tokens/{name}", DELETE=(api.revoke, None)),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        desk.begin()
        yield
        await run_in_threadpool(desk.end)

    handlers: Any = {HTTPException: _http_error, MillpondError: _millpond_error, Exception: _server_error}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


class _Keeper:
    """Knows who calls."""

    def __init__(self, tokens: Tokens, password: str) -> None:
        self._tokens, self._password = tokens, password

    def caller(self, request: Request) -> Caller:
        """The caller of a request, or a refusal."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic" and self._is_owner(given):
            return Caller(request.headers.get("x-millpond-user") or USER)
        if scheme.lower() == "bearer":
            token = self._tokens.find(given.strip())
            if token is not None:
                return Caller(token.name, token)
            raise HTTPException(401, "the token is not known here, expired or revoked")
        raise HTTPException(401, "a token is needed", {"www-authenticate": "Bearer"})

    def _is_owner(self, given: str) -> bool:
        try:
            user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return hmac.compare_digest(password.encode(), self._password.encode()) and user == USER


class _Api:
    def __init__(self, desk: Desk, tokens: Tokens) -> None:
        self._desk, self._tokens = desk, tokens
        self._ledger, self._runs = desk.ledger, desk.executor.runs

    def whoami(self, request: Request, caller: Caller, body: Any) -> Response:
        return JSONResponse({"by": BY, "caller": caller.name, "owner": caller.token is None})

    # Code

    def has_code(self, request: Request, caller: Caller, body: Any) -> Response:
        return JSONResponse({"by": BY, "known": self._desk.sent.has(request.path_params["digest"])})

    def put_code(self, request: Request, caller: Caller, body: bytes) -> Response:
        self._desk.sent.put(request.path_params["digest"], body)
        return JSONResponse({"by": BY, "known": True}, 201)

    # Runs

    def submit(self, request: Request, caller: Caller, body: bytes) -> Response:
        asked = read_body(Submission, _json(body))
        pipeline = self._desk.pipeline_of(asked)
        caller.require(pipeline.name)
        entry = self._desk.submit(asked, pipeline, caller.name)
        return JSONResponse({"by": BY, **run_view(self._desk.executor, entry)}, 201)

    def _entry(self, request: Request, caller: Caller) -> Entry:
        entry = self._ledger.run(request.path_params["run"])
        caller.require(entry.asked.pipeline)
        return entry

    def run(self, request: Request, caller: Caller, body: Any) -> Response:
        return JSONResponse({"by": BY, **run_view(self._desk.executor, self._entry(request, caller))})

    def log(self, request: Request, caller: Caller, body: Any) -> Response:
        text = self._log(self._entry(request, caller), request.path_params["step"])
        return PlainTextResponse(text, headers={"x-content-type-options": "nosniff"})

    def _log(self, entry: Entry, step: str) -> str:
        return self._runs.log(self._runs.read(entry.id), step)

    def cancel(self, request: Request, caller: Caller, body: Any) -> Response:
        self._desk.executor.cancel(self._entry(request, caller))
        return JSONResponse({"by": BY}, 202)

    # Pipelines

    def pipelines(self, request: Request, caller: Caller, body: Any) -> Response:
        found = [handed for handed in self._ledger.pipelines() if _visible(caller, handed.name)]
        return JSONResponse(
            {"by": BY, "pipelines": [pipeline_view(handed, self._desk.triggers) for handed in found]}
        )

    def pipeline(self, request: Request, caller: Caller, body: Any) -> Response:
        caller.require(request.path_params["name"])
        handed = self._ledger.pipeline(request.path_params["name"])
        return JSONResponse({"by": BY, **pipeline_view(handed, self._desk.triggers)})

    def deploy(self, request: Request, caller: Caller, body: bytes) -> Response:
        asked = read_body(Deployment, _json(body))
        pipeline, name = self._desk.pipeline_of(asked), request.path_params["name"]
        caller.require(pipeline.name)
        if pipeline.name != name:
            raise HTTPException(422, f"the path names {name}, the file {pipeline.name}")
        handed = self._desk.deploy(asked, pipeline, caller.name)
        return JSONResponse({"by": BY, **pipeline_view(handed, self._desk.triggers)})

    def start(self, request: Request, caller: Caller, body: bytes) -> Response:
        caller.require(request.path_params["name"])
        asked = read_body(Start, _json(body))
        entry = self._desk.start(request.path_params["name"], asked.parameters, caller.name)
        return JSONResponse({"by": BY, **run_view(self._desk.executor, entry)}, 201)

    def withdraw(self, request: Request, caller: Caller, body: Any) -> Response:
        caller.require(request.path_params["name"])
        self._desk.withdraw(request.path_params["name"])
        return JSONResponse({"by": BY})

    # Tokens

    def tokens(self, request: Request, caller: Caller, body: Any) -> Response:
        caller.require_owner()
        return JSONResponse({"by": BY, "tokens": [vars(token) for token in self._tokens.all()]})

    def mint(self, request: Request, caller: Caller, body: bytes) -> Response:
        caller.require_owner()
        asked = _json(body)
        token = self._tokens.mint(str(asked.get("name")), asked.get("pipelines") or ["*"], asked.get("days"))
        return JSONResponse({"by": BY, "token": token}, 201, {"cache-control": "no-store"})

    def revoke(self, request: Request, caller: Caller, body: Any) -> Response:
        caller.require_owner()
        self._tokens.revoke(request.path_params["name"])
        return JSONResponse({"by": BY})

    # Pages

    def index(self, request: Request, caller: Caller, body: Any) -> Response:
        handed = [found for found in self._ledger.pipelines() if _visible(caller, found.name)]
        entries = [found for found in self._ledger.latest() if _visible(caller, found.asked.pipeline)]
        return pages.index(handed, entries, self._desk.triggers)

    def pipeline_page(self, request: Request, caller: Caller, body: Any) -> Response:
        name = request.path_params["name"]
        caller.require(name)
        handed = [found for found in self._ledger.pipelines() if found.name == name]
        return pages.pipeline(name, handed, self._ledger.latest(name), self._desk.triggers)

    def run_page(self, request: Request, caller: Caller, body: Any) -> Response:
        entry = self._entry(request, caller)
        return pages.run(run_view(self._desk.executor, entry))

    def log_page(self, request: Request, caller: Caller, body: Any) -> Response:
        entry, step = self._entry(request, caller), request.path_params["step"]
        return pages.log(entry, step, self._log(entry, step))


def _visible(caller: Caller, pipeline: str) -> bool:
    return caller.token is None or caller.token.may(pipeline)


async def _body(request: Request, limit: int) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise HTTPException(413, f"the body has more than {limit >> 20} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _json(body: bytes) -> Any:
    try:
        found = json.loads(body or b"{}")
    except ValueError as error:
        raise HTTPException(400, f"the body is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the body is no JSON object")
    return found


async def _healthy(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _refusal(request, error.status_code, error.detail, None, dict(error.headers or {}))


async def _millpond_error(request: Request, error: MillpondError) -> Response:
    if isinstance(error, DocumentErrors):
        return _refusal(request, 422, "; ".join(str(one) for one in error.errors), error.hint)
    status = 404 if isinstance(error, AbsentError) else 409 if isinstance(error, MissingError) else 422
    message = f"{error}" if not isinstance(error, UsageError) else error.message
    return _refusal(request, status, message, error.hint)


async def _server_error(request: Request, error: Exception) -> Response:
    return _refusal(request, 500, f"the component pipelines failed: {type(error).__name__}", None)


def _refusal(
    request: Request, status: int, error: str, hint: str | None, headers: dict[str, str] | None = None
) -> Response:
    if "text/html" in request.headers.get("accept", ""):
        return pages.refusal(error, hint, status)
    body = {"by": BY, "error": error, **({"hint": hint} if hint else {})}
    return JSONResponse(body, status, headers)
