"""Airflow's sign-in behind the gateway: who has signed in there is signed in here.

The gateway presents the password by HTTP Basic, Airflow keeps a token in a cookie. In between stands one
address that takes the one and gives the other. Without the gateway it leads to Airflow's own page.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import urlencode

from airflow.api_fastapi.app import AUTH_MANAGER_FASTAPI_APP_PREFIX, get_cookie_path
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.simple.datamodels.login import LoginBody
from airflow.api_fastapi.auth.managers.simple.services.login import SimpleAuthManagerLogin
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.core_api.security import is_safe_url
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse

_PATH = "/gateway"


class GatewayAuthManager(SimpleAuthManager):  # type: ignore[misc]
    """Airflow's simple sign-in, and the gateway's password by HTTP Basic."""

    def get_url_login(self, **kwargs: Any) -> str:
        """Where somebody without a token is sent to."""
        next_url = kwargs.get("next_url")
        query = f"?{urlencode({'next': next_url})}" if next_url else ""
        return f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}{_PATH}{query}"

    def get_fastapi_app(self) -> FastAPI | None:
        """The pages of the sign-in."""
        app = super().get_fastapi_app()
        if app is not None:
            app.add_api_route(_PATH, _sign_in, methods=["GET"], include_in_schema=False)
            # The pages' own route takes every path, so this one comes first.
            app.router.routes.insert(0, app.router.routes.pop())
        return app


def _sign_in(request: Request) -> RedirectResponse:
    """Give a token for the password that the gateway presents."""
    target = request.query_params.get("next") or "/"
    username, password = _basic(request.headers.get("authorization", ""))
    try:
        token = SimpleAuthManagerLogin.create_token(LoginBody(username=username, password=password))
    except HTTPException:
        return RedirectResponse(f"{AUTH_MANAGER_FASTAPI_APP_PREFIX}/login?{urlencode({'next': target})}")
    response = RedirectResponse(target if is_safe_url(target, request=request) else "/")
    secure = request.base_url.scheme == "https"
    cookie = {"path": get_cookie_path(), "secure": secure, "httponly": True, "samesite": "lax"}
    response.set_cookie(COOKIE_NAME_JWT_TOKEN, token, **cookie)
    return response


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        username, _, password = base64.b64decode(rest).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return username, password
