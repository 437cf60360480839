"""What Envoy reaches of the agent, over a unix socket: the sign-in checks, and its pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route as Endpoint

from millpond.gateway import pages
from millpond.gateway.access import USER_HEADER, Check, Doorkeeper
from millpond.gateway.routes import GATEWAY_HOST, LANDING_HOST
from millpond.gateway.sessions import LIFETIME

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_AUTHZ = "/authz"
_LONGEST_FORM = 16 << 10


def application(doorkeeper: Doorkeeper) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The ASGI application: checks below ``/authz``, which no browser can reach, and the pages."""
    shown = Pages(doorkeeper).application()

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        # On the gateway's own host Envoy sends every path here, and asks for no check; on the others it
        # sends only its checks, the landing page and /.millpond/.
        if (
            scope["type"] == "http"
            and path.startswith(_AUTHZ)
            and _authority(doorkeeper, scope) != GATEWAY_HOST
        ):
            await _check(doorkeeper, scope, send)
        else:
            await shown(scope, receive, send)

    return serve


def _authority(doorkeeper: Doorkeeper, scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"host":
            return doorkeeper.site.host_of(value.decode("latin-1"))
    return None


async def _check(doorkeeper: Doorkeeper, scope: Scope, send: Send) -> None:
    """Answer Envoy's question; raw ASGI, because it stands in the way of every request behind the sign-in."""
    headers: dict[str, str] = {}
    authorizations = []
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name == "authorization":
            authorizations.append(value)
        elif name == "cookie" and name in headers:
            headers[name] += f"; {value}"
        else:
            headers[name] = value
    target = scope["raw_path"].decode("latin-1").removeprefix(_AUTHZ) or "/"
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    check = Check(scope["method"], headers.get("host", ""), target, headers, tuple(authorizations))
    decision = doorkeeper.decide(check)
    answer = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in decision.headers.items()]
    answer.append((b"content-length", str(len(decision.body)).encode()))
    await send({"type": "http.response.start", "status": decision.status, "headers": answer})
    await send({"type": "http.response.body", "body": decision.body})


class Pages:
    """The pages; each handler says which host it is for."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._door = doorkeeper
        site = doorkeeper.site
        self._headers = pages.policy(f"{site.origin(LANDING_HOST)} {site.origin('*')}")

    def application(self) -> Starlette:
        """All pages by path."""
        return Starlette(
            routes=[
                Endpoint("/", self.front),
                Endpoint("/healthz", self.health),
                Endpoint("/sign-in", self.sign_in_form, methods=["GET"]),
                Endpoint("/sign-in", self.sign_in, methods=["POST"]),
                Endpoint("/sign-out", self.sign_out_form, methods=["GET"]),
                Endpoint("/sign-out", self.sign_out, methods=["POST"]),
                Endpoint("/.millpond/session", self.session, methods=["GET"]),
                Endpoint("/.millpond/sign-out", self.sign_out_form, methods=["GET"]),
                Endpoint("/.millpond/sign-out", self.sign_out, methods=["POST"]),
            ],
            exception_handlers={404: self.missing},
        )

    async def missing(self, request: Request, error: Exception) -> Response:
        """Any other path of the gateway's own."""
        return self._html(pages.notice("Nothing here", "The gateway has no page at this address."), 404)

    async def health(self, request: Request) -> Response:
        """Through Envoy to the agent and back."""
        return PlainTextResponse("ok")

    async def front(self, request: Request) -> Response:
        """``localhost``: what is served, behind the sign-in. ``gateway.localhost``: leads there."""
        if self._host(request) != LANDING_HOST:
            return RedirectResponse(self._door.site.origin(LANDING_HOST) + "/", 302)
        found = []
        for host, paths in self._door.table.hosts().items():
            title = next((route.title for route in paths.values() if route.title), host)
            sign_in = any(route.sign_in for route in paths.values())
            found.append(pages.Place(title, self._door.site.origin(host) + "/", sign_in))
        return self._html(pages.landing(places=found, user=request.headers.get(USER_HEADER, "")))

    async def sign_in_form(self, request: Request) -> Response:
        """The form, or, for who is signed in already, straight on."""
        if self._host(request) != GATEWAY_HOST:
            return await self.missing(request, LookupError())
        target = self._target(request.query_params.get("next", ""))
        session = self._session(request)
        if session is not None:
            return self._go_on(session, target)
        return self._form(target)

    async def sign_in(self, request: Request) -> Response:
        """Judge a filled form: from our own page only, and not too often."""
        if self._host(request) != GATEWAY_HOST:
            return await self.missing(request, LookupError())
        if not self._ours(request):
            return self._html(
                pages.notice("Not from here", "The form was sent by a page of another site."), 403
            )
        form = await _form(request)
        target = self._target(form.get("next", ""))
        user, password = form.get("user", ""), form.get("password", "")
        brake = self._door.form_brake
        wait = brake.wait()
        if wait:
            error = f"Too many wrong passwords. Try again in {wait} s."
            answer = self._form(target, user=user, error=error, status=429)
            answer.headers["retry-after"] = str(wait)
            return answer
        if not self._door.knows(user, password):
            brake.failed()
            return self._form(target, user=user, error="The user name or the password is wrong.", status=403)
        session = self._door.sessions.start(user)
        answer = self._go_on(session, target)
        self._set_cookie(answer, session, GATEWAY_HOST)
        return answer

    async def session(self, request: Request) -> Response:
        """Take a ticket on the host it is for, and give that host its cookie."""
        host = self._host(request)
        ticket = self._door.sessions.redeem(request.query_params.get("ticket", ""), host or "")
        if host is None or ticket is None:
            # Spent or late: the sign-in page hands out another one, or asks for the password.
            where = self._door.site.origin(host) + "/" if host in self._door.hosts() and host else ""
            return self._html(
                pages.notice(
                    "This link is spent", f"It was good once and for a short time. Open {where} again."
                ),
                400,
            )
        answer = RedirectResponse(self._door.site.origin(host) + ticket.next, 303, headers=self._headers)
        if not self._set_cookie(answer, ticket.session, host):
            return self._html(pages.notice("Signed out", "The session has ended in the meantime."), 400)
        return answer

    async def sign_out_form(self, request: Request) -> Response:
        """Ask first: a link or a picture must not sign anybody out."""
        session = self._session(request)
        user = self._door.sessions.user(session) if session else None
        if user is None and self._host(request) != GATEWAY_HOST:
            return RedirectResponse(self._door.site.origin(GATEWAY_HOST) + "/sign-out", 302)
        return self._html(pages.sign_out(action=request.url.path, user=user))

    async def sign_out(self, request: Request) -> Response:
        """End the session, which ends it on every host."""
        if not self._ours(request):
            return self._html(
                pages.notice("Not from here", "The form was sent by a page of another site."), 403
            )
        session = self._session(request)
        if session is not None:
            self._door.sessions.end(session)
        answer = RedirectResponse(
            self._door.site.origin(GATEWAY_HOST) + "/sign-out", 303, headers=self._headers
        )
        answer.delete_cookie(
            self._door.cookie_name, path="/", secure=self._door.site.https, httponly=True, samesite="lax"
        )
        return answer

    def _ours(self, request: Request) -> bool:
        """Whether the form stood on this very host: other hosts run other people's code."""
        if request.headers.get("sec-fetch-site") == "same-origin":
            return True
        host = self._host(request)
        return host is not None and request.headers.get("origin") == self._door.site.origin(host)

    def _session(self, request: Request) -> str | None:
        return self._door.session(self._host(request) or "", "; ".join(request.headers.getlist("cookie")))

    def _target(self, wanted: str) -> tuple[str, str]:
        return self._door.destination(wanted) or (LANDING_HOST, "/")

    def _form(
        self, target: tuple[str, str], *, user: str = "", error: str | None = None, status: int = 200
    ) -> Response:
        host, path = target
        origin = self._door.site.origin(host)
        page = pages.sign_in(
            action="/sign-in",
            target=origin + path,
            place=origin.partition("://")[2],
            user=user,
            error=error,
        )
        return self._html(page, status)

    def _go_on(self, session: str, target: tuple[str, str]) -> Response:
        host, path = target
        ticket = self._door.sessions.ticket(session, host, path)
        query = urlencode({"ticket": ticket})
        return RedirectResponse(
            f"{self._door.site.origin(host)}/.millpond/session?{query}", 303, headers=self._headers
        )

    def _set_cookie(self, answer: Response, session: str, host: str) -> bool:
        value = self._door.sessions.cookie(session, host)
        if value is None:
            return False
        answer.set_cookie(
            self._door.cookie_name,
            value,
            max_age=LIFETIME,
            path="/",
            secure=self._door.site.https,
            httponly=True,
            samesite="lax",
        )
        return True

    def _host(self, request: Request) -> str | None:
        return self._door.site.host_of(request.headers.get("host", ""))

    def _html(self, page: str, status: int = 200) -> Response:
        return HTMLResponse(page, status, headers=self._headers)


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_FORM:
            return {}
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    return {name: values[0] for name, values in fields.items()}
