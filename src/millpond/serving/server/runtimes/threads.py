"""How many threads a framework may use for one prediction."""

from __future__ import annotations

import os


def threads(default: int = 1) -> int:
    """``OMP_NUM_THREADS`` of the model's environment, else the default.

    One is KServe's default too: for a few rows, waking more threads takes longer than the prediction.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() and int(given) > 0 else default
