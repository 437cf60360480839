"""One conformance suite per interface, run against every recipe that provides it.

A recipe here is what a platform offers to user code: the environment of the starter flavour, in which each
interface is provided by the component under test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from starter import Starter


@pytest.fixture(scope="session")
def environment(starter: Starter) -> dict[str, str]:
    """The names of all interfaces, as ``millpond env`` gives them to user code."""
    return starter.env


@pytest.fixture(scope="package")
def workflows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """A platform with every workflow engine, and all that the demos need."""
    found = Starter(tmp_path_factory.mktemp("workflows"))
    (found.project / "millpond.yaml").write_text(
        "name: workflows\n"
        "components: {gateway: {}, seaweedfs: {}, mlflow: {}, dask: {}, serving: {}, prefect: {},"
        " airflow: {}, pipelines: {every: 1}}\n"
    )
    try:
        found.millpond("up", timeout=600)
        yield found
    finally:
        found.millpond("destroy", "--yes", check=False)
