"""Fixtures: monitors on folders of their own, and revisions that write logs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from millpond_monitor import Monitor, Revision


@pytest.fixture(scope="session")
def shared_monitor(science_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitor]:
    """One monitor for all tests that leave it running; each takes a deployment of its own name."""
    found = Monitor(science_python, tmp_path_factory.mktemp("monitor"), "--grace", "0.5")
    try:
        yield found.start()
    finally:
        found.stop()


@pytest.fixture
def monitor(science_python: Path, tmp_path: Path) -> Iterator[Monitor]:
    """A monitor for one test that stops it; not started."""
    found = Monitor(science_python, tmp_path)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def revision() -> Iterator[Callable[..., Revision]]:
    """Makes logs, and closes them."""
    made: list[Revision] = []

    def make(folder: Path, deployment: str, name: str, mode: str = "all") -> Revision:
        made.append(Revision(folder, deployment, name, mode))
        return made[-1]

    yield make
    for found in made:
        found.close()
