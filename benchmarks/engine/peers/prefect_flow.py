"""The graphs of `overhead.py` as Prefect flows; run by it, in an environment that has Prefect."""

from __future__ import annotations

import statistics
import sys
import time

from prefect import flow, task


@task
def nothing(value: int = 0) -> int:
    """A no-op step."""
    return value + 1


@flow
def chain(steps: int) -> None:
    """Each step needs the one before."""
    future = nothing.submit()
    for _ in range(steps - 1):
        future = nothing.submit(future)
    future.result()


@flow
def fan(steps: int) -> None:
    """No step needs another."""
    for future in [nothing.submit(number) for number in range(steps)]:
        future.result()


if __name__ == "__main__":
    count, wide, repeat = map(int, sys.argv[1:4])
    fan(3)
    for name, one, steps, times in (
        ("single", chain, 1, repeat),
        ("chain", chain, count, repeat),
        ("fan", fan, count, repeat),
        ("each", fan, wide, 1),
    ):
        samples = []
        for _ in range(times):
            begin = time.perf_counter()
            one(steps)
            samples.append(time.perf_counter() - begin)
        print("seconds", name, statistics.median(samples), flush=True)
