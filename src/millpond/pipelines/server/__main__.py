"""``python -m millpond.pipelines.server``: run pipelines by themselves, and for whoever submits them.

Environment: ``MILLPOND_PIPELINES_PASSWORD`` (the owner's, required), ``MILLPOND_PIPELINES_DATA`` (the folder
it owns, required), ``MILLPOND_RUN_DIR`` (the supervisor's run directory, required: records go beside it), the
lake's ``AWS_*`` and whatever else steps are to find. Exit codes: 0 after a stop, 2 when it is called wrongly.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import uvicorn

from millpond.pipelines.server.api import application
from millpond.pipelines.server.desk import Desk
from millpond.pipelines.server.executor import Executor
from millpond.pipelines.server.ledger import Ledger
from millpond.pipelines.server.schedules import LATE, Schedules
from millpond.pipelines.server.sent import SentCode
from millpond.pipelines.server.tokens import Tokens
from millpond.pipelines.server.triggers import Triggers

HOST = "127.0.0.1"
_NAMES = ("MILLPOND_PIPELINES_PASSWORD", "MILLPOND_PIPELINES_DATA", "MILLPOND_RUN_DIR")


def main(argv: list[str] | None = None) -> int:
    """Read arguments and environment, and serve until told to stop."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    missing = [name for name in _NAMES if not os.environ.get(name)]
    if missing:
        logging.error("%s not set", ", ".join(missing))
        return 2
    os.umask(0o077)
    data = Path(os.environ["MILLPOND_PIPELINES_DATA"]).absolute()
    project = Path(os.environ["MILLPOND_RUN_DIR"]).absolute().parent
    ledger, sent = Ledger(data / "pipelines.sqlite"), SentCode(data)
    executor = Executor(ledger, sent, project / "runs", project, options.concurrency)
    triggers = Triggers(ledger, data / "branches", _repository)
    desk = Desk(ledger, sent, executor, Schedules(ledger, options.late), triggers, options.every)
    # uvicorn sends itself the signal again that it stopped for; that shall not end the process.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    uvicorn.run(
        application(desk, Tokens(ledger), os.environ["MILLPOND_PIPELINES_PASSWORD"]),
        host=HOST,
        port=options.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    ledger.close()
    return 0


def _repository(name: str):  # type: ignore[no-untyped-def] # of the lake, which takes a while to import
    from millpond import lake

    return lake.repo(name)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millpond.pipelines.server", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of the API and the pages")
    parser.add_argument("--concurrency", type=int, default=4, help="how many runs go on at once")
    parser.add_argument("--late", type=float, default=LATE, help="seconds for which a missed instant counts")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between looks at the branches")
    return parser


if __name__ == "__main__":
    sys.exit(main())
