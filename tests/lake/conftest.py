"""A platform of an object store alone, for all tests of the lake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from starter import Starter


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """The lake as its user sees it: a folder, and the command line."""
    platform = Starter(tmp_path_factory.mktemp("lake"))
    (platform.project / "millpond.yaml").write_text("name: lake\ncomponents: [seaweedfs]\n")
    try:
        platform.millpond("up", timeout=600)
        yield platform
    finally:
        platform.millpond("destroy", "--yes", check=False)
