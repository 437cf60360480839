"""The graphs of `overhead.py` as ZenML pipelines on its local stack, each once."""

from __future__ import annotations

import sys
import time

from zenml import pipeline, step


@step(enable_cache=False)
def nothing(value: int = 0) -> int:
    """A no-op step."""
    return value + 1


@pipeline(enable_cache=False)
def chain(steps: int) -> None:
    """Each step needs the one before."""
    value = nothing(0)
    for _ in range(steps - 1):
        value = nothing(value)


@pipeline(enable_cache=False)
def fan(steps: int) -> None:
    """No step needs another."""
    for number in range(steps):
        nothing(number)


if __name__ == "__main__":
    count = int(sys.argv[1])
    for name, made, steps in (
        ("warm-up", chain, 2),
        ("single", chain, 1),
        ("chain", chain, count),
        ("fan", fan, count),
    ):
        begin = time.perf_counter()
        made(steps)
        print("seconds", name, time.perf_counter() - begin, flush=True)
