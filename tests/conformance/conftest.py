"""One conformance suite per interface, run against every recipe that provides it.

A recipe here is what a platform offers to user code: the environment of the starter flavour, in which each
interface is provided by the component under test.
"""

from __future__ import annotations

import pytest

from starter import Starter


@pytest.fixture(scope="session")
def environment(starter: Starter) -> dict[str, str]:
    """The names of all interfaces, as ``millpond env`` gives them to user code."""
    return starter.env
