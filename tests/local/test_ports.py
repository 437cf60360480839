"""Ports that two platforms choose at the same moment."""

from __future__ import annotations

import subprocess
import sys

from millpond.targets.ports import reserve

CHOOSE = "from millpond.targets.ports import allocate; print(allocate(20500, ()), flush=True); input()"


def test_who_comes_up_at_the_same_moment_chooses_another_port() -> None:
    """Neither listens yet, so that looking for listeners would have both choose the first."""
    found = []
    choosers = [
        subprocess.Popen(
            [sys.executable, "-c", CHOOSE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    try:
        for chooser in choosers:
            assert chooser.stdout
            found.append(int(chooser.stdout.readline()))
    finally:
        for chooser in choosers:
            chooser.communicate("\n", timeout=30)
    assert len(set(found)) == 3
    # With its process a reservation ends, however that ended.
    assert all(reserve(port) for port in found)
