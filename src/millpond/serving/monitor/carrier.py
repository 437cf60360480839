"""``python -m millpond.serving.monitor.carrier``: carry the log of one model server beside it into the lake.

Runs in the pod of a model on a cluster, where nobody asks about predictions: it says what is to be noted, and
takes it away as the monitor does. After a stop it brings the rest; the pod's disk is gone then. The machine's
name, which is the pod's, stands in the names of the files. Environment: ``MILLPOND_LOG_BUCKET``, ``AWS_*``.
Exit codes: 0 after a stop, 1 when the lake did not get everything.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path

from millpond.lake.store import open_store
from millpond.serving.monitor.collector import Collector
from millpond.serving.monitor.settings import SETTINGS
from millpond.serving.predictionlog import MODES, Control

_MEMORY = 1024 * 1024


def main(argv: list[str] | None = None) -> int:
    """Carry until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m millpond.serving.monitor.carrier", description=__doc__)
    parser.add_argument("--deployment", required=True)
    parser.add_argument("--namespace", default="default")
    parser.add_argument("--data", type=Path, required=True, help="the folder that it shares with the server")
    parser.add_argument("--mode", choices=MODES, default="all", help="what is noted")
    parser.add_argument("--sample", type=float, default=1.0, help="the share of predictions that is noted")
    parser.add_argument("--batch-seconds", type=float, default=10.0, help="how long events wait for more")
    parser.add_argument("--grace", type=float, default=15.0, help="seconds to bring the rest after a stop")
    options = parser.parse_args(argv)
    logging.basicConfig(
        level=os.environ.get("MILLPOND_LOG", "info").upper(),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    logs = options.data / "predictions"
    folder = logs / options.deployment
    Control(options.mode, options.sample).write(folder)
    (folder / SETTINGS).write_text(json.dumps({"namespace": options.namespace, "mode": options.mode}))
    collector = Collector(
        logs,
        options.data / "carrier",
        open_store(),
        os.environ.get("MILLPOND_LOG_BUCKET") or "predictions",
        seconds=options.batch_seconds,
        memory=_MEMORY,
        place=socket.gethostname(),
    )
    collector.start()
    stopped.wait()
    left = collector.finish(options.grace)
    if left:
        logging.error("%d files of the log of %s did not reach the lake", left, options.deployment)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
