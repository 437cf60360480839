"""Runs the server: ``python -m millpond.query.server --host 127.0.0.1 --port 32010``.

Where things are comes by the environment, as for all code of the platform. What it holds of databases is
taken out of this process's own environment at once, as libraries that queries reach would look there, too.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module

_SECRET = ("PG", "MYSQL_", "AWS_ACCESS", "AWS_SECRET", "AWS_SESSION")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m millpond.query.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--memory", default="1GB", help="what one query may take")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds that one query may take")
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows that one query hands out")
    parser.add_argument("--database-users", default="", help="who may ask the databases, with commas")
    given = parser.parse_args(arguments)
    environment = dict(os.environ)
    for name in environment:
        if name.startswith(_SECRET):
            del os.environ[name]

    from millpond.query.server.desks import Desks, Limits
    from millpond.query.server.flight import SqlServer
    from millpond.query.server.people import Doorkeeper

    limits = Limits(given.memory, given.timeout, given.rows)
    users = frozenset(name.strip() for name in given.database_users.split(",") if name.strip())
    desks = Desks(environment, users, limits)
    server = SqlServer(f"grpc://{given.host}:{given.port}", Doorkeeper(environment), desks)
    # The first to ask for a table would wait for this.
    threading.Thread(target=lambda: import_module("pyiceberg.catalog.rest"), daemon=True).start()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    sys.stderr.write(f"SQL listens on {given.host}:{server.port}\n")
    sys.stderr.flush()
    stop.wait()
    # Queries that run end with the process.
    threading.Thread(target=server.shutdown, daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
