"""The agent behind Envoy: ``python -m millpond.gateway.agent {prepare,run} --data DIR --port PORT``.

``prepare`` writes the files that Envoy starts with (``DIR/envoy.json``). ``run`` does so too and then serves
the REST interface (``/alive`` when Envoy can start, ``/ready`` when Envoy serves), on the loopback address
unless ``MILLPOND_GATEWAY_BIND`` says otherwise, and the sign-in checks and pages on a unix socket that only
this user can open. Either half may stop and start again at any time; stopped after Envoy, the agent leaves no
socket behind. Secrets come by environment: ``MILLPOND_GATEWAY_TOKEN``, ``MILLPOND_GATEWAY_USER``,
``MILLPOND_GATEWAY_PASSWORD``. `settings` and `static` read the other variables.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from millpond.gateway import api, settings, static, web
from millpond.gateway.access import Doorkeeper
from millpond.gateway.envoy import Publisher
from millpond.gateway.sessions import Sessions
from millpond.gateway.xds import Site
from millpond.model.errors import MillpondError

_ROUTES_FILE = "routes.json"
_SESSIONS_FILE = "sessions.json"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the two commands; returns the exit code."""
    parser = argparse.ArgumentParser(prog="millpond.gateway.agent", description="The agent behind Envoy")
    parser.add_argument("command", choices=["prepare", "run"])
    parser.add_argument("--data", type=Path, required=True, help="folder for state and Envoy's files")
    parser.add_argument("--port", type=int, required=True, help="public port of the gateway")
    parser.add_argument("--api-port", type=int, default=0, help="port of the REST interface")
    parser.add_argument(
        "--access-log", action="store_true", help="one JSON line per request on Envoy's stdout"
    )
    arguments = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    os.umask(0o077)
    try:
        logged = arguments.access_log or settings.is_true(os.environ, "MILLPOND_GATEWAY_ACCESS_LOG")
        site = settings.site(arguments.data.absolute(), arguments.port, os.environ, access_log=logged)
        publisher = Publisher(site)
        routes = arguments.data.absolute() / _ROUTES_FILE
        fixed = static.read(os.environ)
        publisher.prepare(arguments.data.absolute(), api.load_table(routes, fixed))
        if arguments.command == "prepare":
            return 0
        credentials = settings.credentials(os.environ)
        token = settings.required(os.environ, "MILLPOND_GATEWAY_TOKEN")
        sessions = Sessions(arguments.data.absolute() / _SESSIONS_FILE, credentials)
        doorkeeper = Doorkeeper(site, sessions, credentials)
        with (
            _listen(site.bind, arguments.api_port) as public,
            _listen_privately(Path(site.agent_socket)) as private,
        ):
            registry = api.Registry(routes, publisher, doorkeeper, fixed)
            asyncio.run(_serve(registry, publisher, doorkeeper, token, public, private))
        if not asyncio.run(publisher.ready()):
            _tidy(site, arguments.data.absolute())
    except MillpondError as error:
        sys.stderr.write(f"{error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))
        return 1
    except OSError as error:
        sys.stderr.write(f"the gateway's agent cannot run: {error}\n")
        return 1
    return 0


def _listen(address: str, port: int) -> socket.socket:
    public = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    public.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    public.bind((address, port))
    return public


@contextlib.contextmanager
def _listen_privately(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as private:
        private.bind(str(path))
        path.chmod(0o600)
        yield private
    path.unlink(missing_ok=True)


def _tidy(site: Site, data: Path) -> None:
    """Remove what Envoy leaves of its admin socket, and the sockets' folder where it is not the data's."""
    admin = Path(site.admin_socket)
    with contextlib.suppress(OSError):
        admin.unlink()
        if admin.parent != data:
            admin.parent.rmdir()


async def _serve(
    registry: api.Registry,
    publisher: Publisher,
    doorkeeper: Doorkeeper,
    token: str,
    public: socket.socket,
    private: socket.socket,
) -> None:
    rest = api.application(registry, publisher, doorkeeper, token)
    behind_envoy = web.application(doorkeeper)

    async def by_socket(scope: web.Scope, receive: web.Receive, send: web.Send) -> None:
        server = scope.get("server")
        if server and server[1] is not None:
            await rest(scope, receive, send)
        else:
            await behind_envoy(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(
            by_socket,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            # Longer than Envoy keeps its connections to the agent.
            timeout_keep_alive=60,
            timeout_graceful_shutdown=2,
        )
    )
    # uvicorn raises the signal again when it is done, which would skip the tidying up.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    await server.serve(sockets=[public, private])


if __name__ == "__main__":
    sys.exit(main())
