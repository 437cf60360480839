"""One suite for every store: what a repository promises holds in a folder and on S3, plain and encrypted."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from millpond.lake.repository import keys, places
from millpond.lake.repository.repository import Repository

_SLOW = pytest.mark.slow


@pytest.fixture(
    params=[
        "folder",
        "folder, encrypted",
        pytest.param("s3", marks=_SLOW),
        pytest.param("s3, encrypted", marks=_SLOW),
    ]
)
def kind(request: pytest.FixtureRequest) -> str:
    """Where the repository is, and whether it is encrypted."""
    return str(request.param)


@pytest.fixture
def environment(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What names the lake; a place of its own for each test."""
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv(keys.VARIABLE, str(tmp_path / "lake.key"))
    if kind.startswith("folder"):
        return {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")}
    env: dict[str, str] = request.getfixturevalue("lake").env
    names = {name: value for name, value in env.items() if name.startswith("AWS_")}
    return {**names, "MILLPOND_REPOSITORIES": f"repositories/{uuid.uuid4().hex[:8]}"}


@pytest.fixture
def repo(environment: dict[str, str], kind: str) -> Iterator[Repository]:
    """An empty repository."""
    yield places.create("flights", environment, encrypt=kind.endswith("encrypted"))
    places.delete("flights", environment)
