"""The gateway's REST interface for the other parts; standard library only, for any environment."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from millpond.model.errors import MillpondError


class GatewayError(MillpondError):
    """The gateway said no, or did not answer; ``status`` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, *, hint: str | None = None, status: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class GatewayClient:
    """Talks to the agent.

    Args:
        api: base URL of the REST interface.
        token: the bearer token.
        url: public base URL of the gateway, ``http://localhost:PORT``.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, api: str, token: str, url: str, timeout: float = 30.0) -> None:
        self._api = api.rstrip("/")
        self._token = token
        self.url = url.rstrip("/")
        self._timeout = timeout
        # The loopback address is not reached through a proxy, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None) -> GatewayClient:
        """From ``MILLPOND_GATEWAY_API``, ``MILLPOND_GATEWAY_TOKEN`` and ``MILLPOND_GATEWAY_URL``.

        Raises:
            GatewayError: one of them is missing.
        """
        found = os.environ if environment is None else environment
        names = ("MILLPOND_GATEWAY_API", "MILLPOND_GATEWAY_TOKEN", "MILLPOND_GATEWAY_URL")
        missing = [name for name in names if not found.get(name)]
        if missing:
            raise GatewayError(
                f"no gateway is known here: {', '.join(missing)} not set",
                hint="is the platform up? millpond up",
            )
        api, token, url = (found[name] for name in names)
        return cls(api, token, url)

    def put_routes(self, owner: str, routes: Iterable[Mapping[str, Any]]) -> list[str]:
        """Exchange an owner's routes; returns their public URLs when Envoy serves them.

        Raises:
            GatewayError: they were refused, and nothing was changed, or there is no gateway.
        """
        answer = self._call("PUT", f"/routes/{owner}", {"routes": [dict(route) for route in routes]})
        return [str(url) for url in answer["urls"]]

    def delete_routes(self, owner: str) -> None:
        """Remove an owner's routes; none is fine.

        Raises:
            GatewayError: there is no gateway, or it could not.
        """
        self._call("DELETE", f"/routes/{owner}")

    def routes(self) -> dict[str, list[dict[str, Any]]]:
        """All owners' routes, header values left out.

        Raises:
            GatewayError: there is no gateway.
        """
        owners: dict[str, list[dict[str, Any]]] = self._call("GET", "/routes")["owners"]
        return owners

    def statistics(self) -> dict[str, dict[str, int]]:
        """What was counted since Envoy started, of each upstream and shadow.

        The keys are ``HOST/NAME`` for what has a name, ``HOST/ADDRESSES`` else, with ``/h2c`` and ``/shadow``
        after it where that holds. Counted are ``requests``, those ``active`` now, ``errors`` (answers of 500
        and above, the gateway's own for want of an answer included), ``connect_failures``, and the
        ``overflow`` that was not sent, as too much was under way.

        Raises:
            GatewayError: there is no gateway.
        """
        found: dict[str, dict[str, int]] = self._call("GET", "/statistics")["upstreams"]
        return found

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        request = urllib.request.Request(
            self._api + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error.code, error.read()) from None
        except (OSError, ValueError) as error:
            raise GatewayError(
                f"the gateway's agent does not answer: {error}", hint="millpond status"
            ) from error


def _refusal(status: int, body: bytes) -> GatewayError:
    try:
        found = json.loads(body)
        return GatewayError(str(found["error"]), hint=found.get("hint"), status=status)
    except (ValueError, KeyError, TypeError, AttributeError):
        return GatewayError(
            f"the gateway's agent answered {status}", hint="millpond logs gateway", status=status
        )
