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
    count, repeat = int(sys.argv[1]), int(sys.argv[2])
    for one in (chain, fan):
        one(3)
        samples = []
        for _ in range(repeat):
            begin = time.perf_counter()
            one(count)
            samples.append(time.perf_counter() - begin)
        print("seconds", one.__name__, statistics.median(samples), flush=True)
