"""One suite for every store: what a repository promises holds over a folder and over a real object store."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from millpond.lake.repository import places
from millpond.lake.repository.repository import Repository


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def environment(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What names the lake; a place of its own for each test."""
    monkeypatch.setenv("MILLPOND_CACHE_DIR", str(tmp_path / "cache"))
    if request.param == "folder":
        return {"MILLPOND_LAKE_ROOT": str(tmp_path / "lake")}
    env: dict[str, str] = request.getfixturevalue("lake").env
    names = {name: value for name, value in env.items() if name.startswith("AWS_")}
    return {**names, "MILLPOND_REPOSITORIES": f"repositories/{uuid.uuid4().hex[:8]}"}


@pytest.fixture
def repo(environment: dict[str, str]) -> Iterator[Repository]:
    """An empty repository."""
    yield places.create("flights", environment)
    places.delete("flights", environment)
