"""``python -m millpond.serving.controller``: look after all deployments of a platform.

Environment: ``MILLPOND_SERVING_TOKEN`` (required), ``MILLPOND_RUN_DIR`` (the supervisor's run directory,
required), ``MILLPOND_SERVING_DATA``, ``MILLPOND_SERVING_PORTS``; ``MILLPOND_GATEWAY_API``, ``_TOKEN``
and ``_URL`` when there is a gateway; ``MILLPOND_ROUTER_PORT`` and ``MILLPOND_MONITOR_PORT`` when those two
run; ``MLFLOW_*`` and ``AWS_*`` for the models. Exit codes: 0 after a stop, 2 when it is called wrongly.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import uvicorn

from millpond.model.errors import MillpondError
from millpond.serving.controller.addresses import Addresses
from millpond.serving.controller.api import application
from millpond.serving.controller.artifacts import ArtifactStore
from millpond.serving.controller.deployments import Deployments
from millpond.serving.controller.graphs import Graphs
from millpond.serving.controller.observer import Observer
from millpond.serving.controller.processes import HOST, SupervisedProcesses
from millpond.serving.controller.routes import MonitorPage, routes_from
from millpond.serving.controller.site import Site
from millpond.serving.controller.store import Store


def main(argv: list[str] | None = None) -> int:
    """Read arguments and environment, and serve until told to stop."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    missing = [name for name in ("MILLPOND_SERVING_TOKEN", "MILLPOND_RUN_DIR") if not os.environ.get(name)]
    if missing or options.data is None:
        names = [*missing, *([] if options.data is not None else ["MILLPOND_SERVING_DATA (or --data)"])]
        logging.error("%s not set", ", ".join(names))
        return 2
    try:
        routes = routes_from(os.environ)
    except MillpondError as error:
        logging.error("%s", error.message)
        return 2
    data = options.data.absolute()
    token = os.environ["MILLPOND_SERVING_TOKEN"]
    router, monitor = (_port(os.environ.get(f"MILLPOND_{name}_PORT")) for name in ("ROUTER", "MONITOR"))
    site = Site(
        store=Store(data / "deployments"),
        artifacts=ArtifactStore(data / "models"),
        processes=SupervisedProcesses(Path(os.environ["MILLPOND_RUN_DIR"])),
        routes=routes,
        observer=Observer(data / "predictions", f"http://{HOST}:{monitor}" if monitor else None, token),
        ports=options.ports,
        logs=(options.logs or data / "logs").absolute(),
        data=data,
        router=router if routes.splits else None,
    )
    deployments = Deployments(site)
    address = Addresses(deployments, os.environ.get("MILLPOND_GATEWAY_URL"))
    graphs = Graphs(data / "graphs", data / "router" / "graphs", routes, router, address)
    page = MonitorPage(routes, monitor, token)

    async def changed() -> None:
        await graphs.refresh()
        await page.put()

    deployments.changed = changed
    uvicorn.run(
        application(deployments, graphs, token),
        host=HOST,
        port=options.port,
        loop="asyncio",  # installers are started with a umask, which uvloop cannot
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return 0


def _port(text: str | None) -> int | None:
    return int(text) if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millpond.serving.controller", description=__doc__)
    environment = os.environ
    data = environment.get("MILLPOND_SERVING_DATA")
    parser.add_argument("--port", type=int, required=True, help="port of the controller's REST")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="folder it owns")
    parser.add_argument("--logs", type=Path, help="folder of the model servers' logs; DATA/logs")
    parser.add_argument(
        "--ports",
        type=_ports,
        default=_ports(environment.get("MILLPOND_SERVING_PORTS") or "20000-20999"),
        help="ports of the model servers, as FIRST-LAST",
    )
    return parser


def _ports(text: str) -> range:
    first, _, last = text.partition("-")
    try:
        found = range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST") from None
    if not found or found[0] < 1 or found[-1] > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a range of ports")
    return found


if __name__ == "__main__":
    sys.exit(main())
