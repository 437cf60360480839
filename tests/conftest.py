"""What several topics' tests share: the starter platform, the science environment, models, their servers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokers import Broker, kafka
from millpond.targets.local.installs import InstallRequest, InstallStore
from model_servers import SOURCE, ModelServer, start_together
from starter import Starter

LOCK = SOURCE / "millpond/catalogue/environments/science/requirements.lock"
MAKE_MODELS = Path(__file__).parent / "serving/make_models.py"


# What these bring has to be installed, trained or started first; who asks for one is slow without saying so.
HEAVY = frozenset({"science_python", "starter", "models", "model_servers", "broker"})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what needs an environment of data science or a whole platform."""
    for item in items:
        if HEAVY & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def _cached(config: pytest.Config, name: str, *of: Path) -> Path:
    """A folder that later runs find again as long as the files that it is made from are the same."""
    content = b"\0".join(path.read_bytes() for path in of) + sys.version.encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return Path(config.cache.mkdir(name)) / digest  # type: ignore[union-attr]


@pytest.fixture(scope="session")
def science_python() -> Path:
    """The interpreter of the science environment, from the store that platforms install it in.

    ``MILLPOND_SCIENCE_PYTHON`` names one that is there already.
    """
    given = os.environ.get("MILLPOND_SCIENCE_PYTHON")
    if given:
        return Path(given)
    request = InstallRequest("science", LOCK.parent, {"pip": LOCK.name})
    return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"


@pytest.fixture(scope="session")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """The starter flavour, brought up once by the command line for all tests that look at it.

    ``MILLPOND_TEST_PROJECT`` names the folder of one that is up already, and stays up.
    """
    given = os.environ.get("MILLPOND_TEST_PROJECT")
    if given:
        yield Starter(Path(given))
        return
    platform = Starter(tmp_path_factory.mktemp("starter"))
    try:
        platform.millpond("init", "starter")
        platform.millpond("up", timeout=600)
        yield platform
    finally:
        platform.millpond("destroy", "--yes", check=False)


@pytest.fixture(scope="session")
def models(science_python: Path, request: pytest.FixtureRequest) -> Path:
    """A folder of MLflow models, by name; see ``serving/make_models.py``."""
    folder = _cached(request.config, "models", LOCK, MAKE_MODELS)
    if not (folder / "complete").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [str(science_python), str(MAKE_MODELS), str(folder)]
        subprocess.run(command, check=True, env=environment, capture_output=True)
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def model_servers(
    science_python: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, ModelServer]]:
    """A server for each of the models that load, all ready."""
    logs = tmp_path_factory.mktemp("model-servers")
    names = ("waiting", "iris", "echo", "sums", "nosignature", "mirror", "kinds")
    servers = {name: ModelServer(science_python, models / name, name, logs / f"{name}.log") for name in names}
    try:
        start_together(list(servers.values()))
        yield servers
    finally:
        for server in servers.values():
            server.stop()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Apache Kafka, one broker for all tests."""
    with kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker
