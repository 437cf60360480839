"""A router and servers that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from routers import Handler, Router, Server


@pytest.fixture(scope="session")
def router(science_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """A router for graphs, with seeded choices and two patterns of headers, one of which is none."""
    found = Router(
        science_python,
        tmp_path_factory.mktemp("router"),
        "--seed",
        "7",
        PROPAGATE_HEADERS="Test-Header-*,Auth*,*Trace-Id*,[0-9",
    )
    try:
        yield found.wait_ready()
    finally:
        found.stop()


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], Server]]:
    """Starts servers that answer what a function says; they end with the test."""
    servers: list[Server] = []

    def start(handler: Handler) -> Server:
        servers.append(Server(handler))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
