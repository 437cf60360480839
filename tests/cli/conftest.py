"""A platform of cheap components, and the command line as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CATALOGUE = Path(__file__).parent / "catalogue"
TINY = ("store", "page")

Run = Callable[..., subprocess.CompletedProcess[str]]


def environment(cache: Path, **more: str) -> dict[str, str]:
    names = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "DISPLAY", "BROWSER", "PYTHONDONTWRITEBYTECODE")
    }
    return {**names, "MILLPOND_CACHE_DIR": str(cache), "COLUMNS": "120", **more}


def call(
    folder: Path, cache: Path, *words: str, stdin: str | None = None, timeout: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "millpond", *words],
        cwd=folder,
        env=environment(cache, **more),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def write_flavour(folder: Path, *components: str, name: str = "tiny", more: str = "") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"name: {name}", f"catalogue: [{CATALOGUE}]", "components:"]
    lines += [f"  {component}:" for component in components]
    path = folder / "millpond.yaml"
    path.write_text("\n".join(lines) + "\n" + more)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(tmp_path: Path, cache: Path) -> Iterator[Path]:
    """A folder with the tiny flavour, nothing of it up; whatever a test starts is gone afterwards."""
    folder = tmp_path / "project"
    write_flavour(folder, *TINY)
    yield folder
    if (folder / ".millpond").exists():
        write_flavour(folder, *TINY)
        call(folder, cache, "destroy", "--yes")


@pytest.fixture
def millpond(project: Path, cache: Path) -> Run:
    """The command line in the project's folder."""

    def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
        return call(project, cache, *words, **more)  # type: ignore[arg-type]

    return run


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Path]:
    """One tiny platform that is up, for the tests of a module that only look."""
    folder = tmp_path_factory.mktemp("platform")
    write_flavour(folder, *TINY)
    found = call(folder, cache, "up")
    assert found.returncode == 0, found.stderr
    yield folder
    call(folder, cache, "destroy", "--yes")


@pytest.fixture
def look(shared: Path, cache: Path) -> Run:
    """The command line in the folder of the platform that is up."""

    def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
        return call(shared, cache, *words, **more)  # type: ignore[arg-type]

    return run
