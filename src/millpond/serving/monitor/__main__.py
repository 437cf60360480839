"""``python -m millpond.serving.monitor``: collect the prediction logs of a platform, and answer about them.

Environment: ``MILLPOND_SERVING_TOKEN`` (the API's bearer token, required), ``MILLPOND_SERVING_DATA``
(the controller's folder, required: logs are in its ``predictions/``), ``MILLPOND_LOG_BUCKET``
(``predictions``), and the lake's ``AWS_*``; without an object store events stay in the folder
``predictions-lake/`` beside the logs, in the same layout. Exit codes: 0 after a stop, 2 when it is
called wrongly.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import uvicorn

from millpond.lake.store import FileStore, Store, open_store
from millpond.serving.monitor.api import application
from millpond.serving.monitor.collector import Collector
from millpond.serving.monitor.compare import GRACE
from millpond.serving.monitor.history import History
from millpond.serving.monitor.outbox import DISK
from millpond.serving.monitor.questions import Questions
from millpond.serving.monitor.reference import References
from millpond.serving.monitor.window import MEMORY

HOST = "127.0.0.1"


def main(argv: list[str] | None = None) -> int:
    """Read arguments and environment, and serve until told to stop."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    names = ("MILLPOND_SERVING_TOKEN", "MILLPOND_SERVING_DATA")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        logging.error("%s not set", ", ".join(missing))
        return 2
    with suppress(OSError):  # those who predict come first
        os.nice(5)
    serving = Path(os.environ["MILLPOND_SERVING_DATA"]).absolute()
    store, bucket = _lake(serving)
    own = (options.data or serving / "monitor").absolute()
    collector = Collector(
        serving / "predictions",
        own,
        store,
        bucket,
        seconds=options.batch_seconds,
        disk=options.disk,
        memory=options.memory,
    )
    references = References(own, store)
    questions = Questions(collector, History(store, bucket), references, grace=options.grace)
    # uvicorn sends itself the signal again that it stopped for; that shall not end the process.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    uvicorn.run(
        application(collector, questions, os.environ["MILLPOND_SERVING_TOKEN"]),
        host=HOST,
        port=options.port,
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
    )
    return 0


def _lake(serving: Path) -> tuple[Store, str]:
    environment = os.environ
    if any(
        environment.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "MILLPOND_LAKE_ROOT")
    ):
        return open_store(), environment.get("MILLPOND_LOG_BUCKET") or "predictions"
    return FileStore(serving), "predictions-lake"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m millpond.serving.monitor", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port of the monitor's REST")
    parser.add_argument("--data", type=Path, help="folder it owns; MILLPOND_SERVING_DATA/monitor")
    parser.add_argument(
        "--batch-seconds",
        type=float,
        default=10.0,
        help="how long events wait for more before they are a file",
    )
    parser.add_argument(
        "--grace", type=float, default=GRACE, help="seconds after which a shadow's missing answer counts"
    )
    parser.add_argument(
        "--disk", type=int, default=DISK, help="bytes that may wait for the lake, a deployment"
    )
    parser.add_argument(
        "--memory", type=int, default=MEMORY, help="bytes of recent predictions, a deployment"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
