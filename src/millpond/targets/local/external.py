"""Services that the user runs: checked for being there, never started."""

from __future__ import annotations

import asyncio
import http.client
from urllib.parse import urlsplit

from millpond.model import expression
from millpond.model.errors import MillpondError
from millpond.model.platform import USER, Binding, Platform
from millpond.model.scope import bound
from millpond.model.value import link
from millpond.targets.local.realise import Realiser


def key(interface: str) -> str:
    """The name under which events speak of an external service."""
    return f"external {interface}"


async def check(platform: Platform, interface: str, realiser: Realiser, timeout: float = 5.0) -> None:
    """Check that a service of the user's own can be reached.

    Raises:
        MillpondError: it cannot, or a value that it needs is not there.
    """
    contract = platform.interfaces[interface]
    binding = Binding(interface, interface, "", "", {}, wait=False)

    def text(template: str) -> str:
        value = link(expression.parse(template), lambda path: bound(platform, USER, binding, path[0]))
        return realiser.text(value)

    for name, prop in contract.properties.items():
        # A secret that is not there is found now, not by the component that first needs it.
        if prop.required:
            text(f"${{{name}}}")
    probe = contract.check
    if probe is None:
        return
    if probe.tcp is not None:
        host, _, port = text(probe.tcp).rpartition(":")
        await _tcp(interface, host, int(port), timeout)
    elif probe.http is not None:
        await asyncio.to_thread(_http, interface, text(probe.http), timeout)


async def _tcp(interface: str, host: str, port: int, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise _unreachable(interface, f"{host}:{port}", error) from None
    writer.close()


def _http(interface: str, url: str, timeout: float) -> None:
    """Any answer will do, also a refusal: only whoever has the keys is let in."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(interface, url, error) from None
    finally:
        connection.close()


def _unreachable(interface: str, where: str, error: Exception) -> MillpondError:
    reason = (getattr(error, "strerror", None) or str(error) or "no answer in time").lower()
    return MillpondError(
        f"external {interface}: nothing answers at {where} ({reason})",
        hint=f"start it, or mend its address under external: {interface}:",
    )
