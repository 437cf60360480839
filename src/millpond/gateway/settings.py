"""What the agent is told when it starts: places and ports by argument, secrets by environment."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import re
import resource
import socket
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from millpond.gateway.xds import Site
from millpond.model.errors import MillpondError

_MOST_CONNECTIONS = 20000
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LONGEST_SOCKET = 100
"""Bytes of a unix socket's path that both Linux (108) and macOS (104) take."""


@dataclass(frozen=True)
class Credentials:
    """The platform's own user."""

    user: str
    password: str = field(repr=False)


def credentials(environment: Mapping[str, str]) -> Credentials:
    """``MILLPOND_GATEWAY_USER`` and ``MILLPOND_GATEWAY_PASSWORD``.

    Raises:
        MillpondError: one of them is missing or empty.
    """
    return Credentials(
        required(environment, "MILLPOND_GATEWAY_USER"), required(environment, "MILLPOND_GATEWAY_PASSWORD")
    )


def required(environment: Mapping[str, str], name: str) -> str:
    """The value of a variable that the agent cannot do without.

    Raises:
        MillpondError: it is missing or empty.
    """
    value = environment.get(name, "")
    if not value:
        raise MillpondError(f"the gateway has no {name}", hint=f"set {name} in the environment")
    return value


def is_true(environment: Mapping[str, str], name: str) -> bool:
    """Whether a variable says yes; unset is no."""
    return environment.get(name, "").lower() in ("1", "true", "yes", "on")


def site(data: Path, port: int, environment: Mapping[str, str], *, access_log: bool) -> Site:
    """Where the gateway's parts are; makes the folders, open to their owner alone.

    ``MILLPOND_GATEWAY_DOMAIN`` (``localhost``), ``MILLPOND_GATEWAY_BIND`` (the loopback address),
    ``MILLPOND_GATEWAY_HTTPS`` and ``MILLPOND_GATEWAY_PUBLIC_PORT`` say how it is reached from outside.
    Under ``localhost`` browsers come to the port itself, under any other domain to that of the scheme.

    Raises:
        MillpondError: the folder for the sockets belongs to somebody else, or a variable has a value that
            it cannot have.
    """
    domain = environment.get("MILLPOND_GATEWAY_DOMAIN") or "localhost"
    if not _DOMAIN.match(domain):
        raise MillpondError(
            f"MILLPOND_GATEWAY_DOMAIN is {domain!r}, which is no domain",
            hint="write it as data.example.org, without scheme and port",
        )
    bind = environment.get("MILLPOND_GATEWAY_BIND") or "127.0.0.1"
    try:
        ipaddress.ip_address(bind)
    except ValueError:
        raise MillpondError(
            f"MILLPOND_GATEWAY_BIND is {bind!r}, which is no address", hint="write it as 0.0.0.0"
        ) from None
    https = is_true(environment, "MILLPOND_GATEWAY_HTTPS")
    given = environment.get("MILLPOND_GATEWAY_PUBLIC_PORT", "")
    if given and not (given.isdigit() and 0 < int(given) < 65536):
        raise MillpondError(f"MILLPOND_GATEWAY_PUBLIC_PORT is {given!r}, which is no port", hint="443")
    outer = port if domain == "localhost" else 443 if https else 80
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(PermissionError):
        # A pod's volume belongs to root and is the pod's own.
        data.chmod(0o700)
    for kind in ("lds", "cds", "rds"):
        (data / "xds" / kind).mkdir(parents=True, exist_ok=True)
    sockets = _socket_folder(data)
    return Site(
        port=port,
        xds=str(data / "xds"),
        agent_socket=str(sockets / "agent.sock"),
        admin_socket=str(sockets / "admin.sock"),
        # Browsers may take *.localhost there; an address that is asked for is listened on alone.
        ipv6=bind == "127.0.0.1" and _has_ipv6(port),
        access_log=access_log,
        connections=_connections(),
        bind=bind,
        domain=domain,
        https=https,
        public_port=int(given) if given else outer,
    )


def _connections() -> int:
    """Half of the files that Envoy may open, which is all that the system allows; upstreams need the rest."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _MOST_CONNECTIONS if files == resource.RLIM_INFINITY else min(_MOST_CONNECTIONS, files // 2)


def _socket_folder(data: Path) -> Path:
    if len(os.fsencode(data / "agent.sock")) <= _LONGEST_SOCKET:
        return data
    name = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"millpond-gateway-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode) or stat.S_IMODE(found.st_mode) != 0o700:
        raise MillpondError(
            f"the gateway's socket folder {folder} is not this user's alone", hint="remove it"
        )
    return folder


def _has_ipv6(port: int) -> bool:
    """Whether ``[::1]:port`` can be bound; where it cannot, the gateway does without."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("::1", port))
    except OSError:
        return False
    return True
