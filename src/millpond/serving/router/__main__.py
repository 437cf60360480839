"""``python -m millpond.serving.router``: run a platform's inference graphs, and wake its sleeping models.

Environment: ``MILLPOND_SERVING_URL`` and ``MILLPOND_SERVING_TOKEN``, the controller that wakes models; there
are graphs only without it. ``MILLPOND_GATEWAY_URL``, for Seldon's calls. ``PROPAGATE_HEADERS``, patterns of
header names that go to every step, with commas between them, as KServe's router reads it. Exit codes: 0 after
a stop, 1 when the port is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import signal
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from millpond.serving.router.activator import Activator, Bounds
from millpond.serving.router.app import Application, Limits
from millpond.serving.router.connections import patterns, session
from millpond.serving.router.forwarding import Forwarder
from millpond.serving.router.shelf import Shelf

log = logging.getLogger("millpond.serving")

HOST = "127.0.0.1"
_HEADER_BYTES = 65536


def main(argv: list[str] | None = None) -> int:
    """Read arguments and environment, and serve until told to stop."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("_granian", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not _free(options.host, options.port):
        log.error("port %s of %s is taken", options.port, options.host)
        return 1
    asyncio.run(_serve(options))
    logging.shutdown()
    # All is answered. The HTTP server's threads may still hold Python objects, and an interpreter that takes
    # itself apart under them ends in an abort.
    os._exit(0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millpond.serving.router", description=__doc__)
    parser.add_argument("--host", default=HOST, help="address to listen on")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument(
        "--data", type=Path, required=True, help="the controller's folder; graphs in DATA/router/graphs"
    )
    parser.add_argument(
        "--max-body", type=int, default=Limits.body, help="bytes of a request or a step's answer"
    )
    parser.add_argument("--body-timeout", type=float, default=Limits.seconds, help="seconds to send a body")
    parser.add_argument(
        "--max-graph-requests", type=int, default=Limits.graphs, help="requests in graphs at once"
    )
    parser.add_argument("--max-graph-bytes", type=int, default=Limits.bytes, help="bytes of their bodies")
    parser.add_argument(
        "--max-waiting", type=int, default=Bounds.requests, help="requests kept for sleeping models"
    )
    parser.add_argument("--max-waiting-bytes", type=int, default=Bounds.bytes, help="bytes of their bodies")
    parser.add_argument(
        "--wait", type=float, default=Bounds.seconds, help="seconds that each of them waits at most"
    )
    parser.add_argument(
        "--answer-timeout", type=float, default=600.0, help="seconds between parts of an answer"
    )
    parser.add_argument("--grace", type=float, default=30.0, help="seconds to finish requests after a stop")
    parser.add_argument("--seed", type=int, help="makes the choices of Splitters repeatable")
    return parser


async def _serve(options: argparse.Namespace) -> None:
    propagate, bad = patterns(
        text.strip() for text in os.environ.get("PROPAGATE_HEADERS", "").split(",") if text.strip()
    )
    for text in bad:
        log.warning("the pattern of a header's name is ignored: %s", text)
    bounds = Bounds(options.max_waiting, options.max_waiting_bytes, options.wait)
    url = os.environ.get("MILLPOND_SERVING_URL", "").rstrip("/") or None
    async with session(reuse=True) as kept, session(reuse=False) as fresh:
        activator = Activator(fresh, url, os.environ.get("MILLPOND_SERVING_TOKEN", ""), options.wait)
        application = Application(
            Shelf(options.data / "router" / "graphs"),
            activator,
            Forwarder(fresh, activator, options.answer_timeout, options.max_body),
            kept,
            bounds=bounds,
            limits=Limits(
                options.max_body, options.body_timeout, options.max_graph_requests, options.max_graph_bytes
            ),
            propagate=propagate,
            gateway=urlsplit(os.environ.get("MILLPOND_GATEWAY_URL", "")).netloc or None,
            chance=random.Random(options.seed) if options.seed is not None else random.SystemRandom(),
        )
        server = Server(
            application,
            address=options.host,
            port=options.port,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            http1_settings=HTTP1Settings(max_buffer_size=_HEADER_BYTES),
            http2_settings=HTTP2Settings(max_headers_size=_HEADER_BYTES),
            websockets=False,
            backlog=1024,
            backpressure=options.max_waiting + options.max_graph_requests + 1000,
            log_enabled=False,
        )
        loop = asyncio.get_running_loop()

        def stop() -> None:
            server.stop()
            loop.call_later(options.grace, os._exit, 0)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        log.info("the router listens on %s:%s", options.host, options.port)
        try:
            await server.serve()
        finally:
            await activator.finish()


def _free(host: str, port: int) -> bool:
    """Whether the port can be had; the server's own socket would share it with another server's."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
