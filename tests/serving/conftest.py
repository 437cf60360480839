"""Serving behind a real gateway, with its router and its monitor; lets folders below import these modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving_platform import ServingPlatform

sys.path.append(str(Path(__file__).parent.parent / "gateway"))
from millpond_gateway import LOCK, TOKEN, Gateway


@pytest.fixture(scope="session")
def gateway_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with the gateway's packages."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert uv, "uv is a dependency of millpond and has to be there"
    folder = tmp_path_factory.mktemp("gateway-env")
    subprocess.run(
        [uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(folder)], check=True
    )
    python = folder / "bin/python"
    install = [uv, "pip", "install", "-q", "--python", str(python), "--require-hashes", "-r", str(LOCK)]
    subprocess.run(install, check=True)
    return python


@pytest.fixture
def gateway(gateway_python: Path, tmp_path: Path) -> Iterator[Gateway]:
    (tmp_path / "gateway").mkdir()
    found = Gateway(gateway_python, tmp_path / "gateway")
    try:
        found.start()
        yield found
    finally:
        found.stop()


@pytest.fixture
def routed(science_python: Path, gateway: Gateway, tmp_path: Path) -> Iterator[ServingPlatform]:
    environment = {
        "MILLPOND_GATEWAY_API": gateway.api,
        "MILLPOND_GATEWAY_TOKEN": TOKEN,
        "MILLPOND_GATEWAY_URL": f"http://localhost:{gateway.port}",
    }
    found = ServingPlatform(science_python, tmp_path, environment, parts=("router", "monitor"))
    try:
        found.up()
        yield found
    finally:
        found.down()
