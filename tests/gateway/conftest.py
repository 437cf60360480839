"""Fixtures: the gateway's environment, a gateway, and upstreams."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from millpond_gateway import LOCK, Gateway, Upstream


@pytest.fixture(scope="session")
def gateway_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gateway's own environment, installed from its lock as a platform does it."""
    folder = tmp_path_factory.mktemp("gateway-env") / "venv"
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert uv, "uv is a dependency of millpond and has to be there"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    python = folder / "bin/python"
    install = [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(LOCK)]
    subprocess.run(install, check=True)
    return python


@pytest.fixture(scope="session")
def running(gateway_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that leave it running."""
    found = Gateway(gateway_python, tmp_path_factory.mktemp("gateway"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def gateway(running: Gateway) -> Iterator[Gateway]:
    """The running gateway, without routes before and after."""
    yield running
    for owner in running.client.routes():
        running.client.delete_routes(owner)


@pytest.fixture
def own_gateway(gateway_python: Path, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway for one test that stops parts of it."""
    found = Gateway(gateway_python, tmp_path)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    found = Upstream("first")
    yield found
    found.shutdown()
    found.server_close()


@pytest.fixture(scope="session")
def second_upstream() -> Iterator[Upstream]:
    found = Upstream("second")
    yield found
    found.shutdown()
    found.server_close()
