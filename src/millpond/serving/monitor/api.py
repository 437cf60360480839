"""The monitor's REST: answers about one deployment, its page, and metrics for Prometheus.

Every path but ``/healthz`` asks for the bearer token. A person has none: the gateway's route to the
monitor stands behind the sign-in and adds it. A question about a deployment that has no log is a 404.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from millpond.model.errors import MillpondError
from millpond.serving.monitor import report
from millpond.serving.monitor.collector import Collector, UnknownDeployment
from millpond.serving.monitor.metrics import MEDIA_TYPE, Metrics
from millpond.serving.monitor.questions import BadQuestion, Questions

Answer = Callable[[str, dict[str, str]], Any]


def application(collector: Collector, questions: Questions, token: str) -> Starlette:
    """The ASGI application; the collector lives as long as it does."""

    def guarded(answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def guard(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                raise HTTPException(401, "the bearer token is missing or wrong")
            return await run_in_threadpool(answer, request)

        return guard

    def json(answer: Answer) -> Callable[[Request], Any]:
        return guarded(lambda request: _json(answer(request.path_params["name"], dict(request.query_params))))

    def drawn(draw: Callable[[Questions, str, dict[str, str]], Response]) -> Callable[[Request], Any]:
        def answer(request: Request) -> Response:
            try:
                return draw(questions, request.path_params.get("name", ""), dict(request.query_params))
            except MillpondError as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                return report.refusal(error, _status(error))

        return guarded(answer)

    metrics = Metrics(collector, questions)
    item = "/deployments/{name}"
    routes = [
        Route("/", drawn(report.index)),
        Route("/healthz", _healthy),
        Route("/metrics", guarded(lambda request: Response(metrics.page(), media_type=MEDIA_TYPE))),
        Route("/deployments", guarded(lambda request: _json(questions.deployments()))),
        Route(item + "/window", json(questions.window)),
        Route(item + "/compare", json(questions.compare)),
        Route(item + "/distance", json(questions.distance)),
        Route(item + "/experiment", json(questions.experiment)),
        Route(item + "/drift", json(questions.drift)),
        Route(item + "/quality", json(questions.quality)),
        Route(item + "/report", drawn(report.report)),
        Route(item + "/compare.svg", drawn(report.picture)),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(collector.start)
        yield
        await run_in_threadpool(collector.stop)

    handlers: Any = {HTTPException: _http_error, MillpondError: _millpond_error, Exception: _server_error}
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)


def _json(value: Any, status: int = 200) -> Response:
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status, media_type="application/json")


async def _healthy(request: Request) -> Response:
    return _json({"status": "ok"})


async def _http_error(request: Request, error: HTTPException) -> Response:
    return _json({"error": error.detail}, error.status_code)


async def _millpond_error(request: Request, error: MillpondError) -> Response:
    text = f"{error.message}; {error.hint}" if error.hint else error.message
    return _json({"error": text}, _status(error))


def _status(error: MillpondError) -> int:
    return 404 if isinstance(error, UnknownDeployment) else 400 if isinstance(error, BadQuestion) else 503


async def _server_error(request: Request, error: Exception) -> Response:
    return _json({"error": f"the monitor failed: {type(error).__name__}"}, 500)
