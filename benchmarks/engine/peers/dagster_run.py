"""The graphs of `overhead.py` as Dagster jobs, in process, with an instance that keeps its events on disk."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from typing import Any

from dagster import DagsterInstance, GraphDefinition, JobDefinition, graph, op


@op
def first() -> int:
    """A no-op step that needs none."""
    return 1


@op
def nothing(value: int) -> int:
    """A no-op step."""
    return value + 1


def job(shape: str, steps: int) -> JobDefinition:
    """A chain, or a fan of so many ops."""

    def body() -> None:
        if shape == "chain":
            value: Any = first()
            for number in range(1, steps):
                value = nothing.alias(f"s{number}")(value)
        else:
            for number in range(steps):
                first.alias(f"s{number}")()

    made: GraphDefinition = graph(name=f"{shape}{steps}")(body)
    return made.to_job()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    count, wide, repeat = map(int, sys.argv[1:4])
    instance = DagsterInstance.get()
    for name, shape, steps, times in (
        ("warm-up", "chain", 3, 1),
        ("single", "chain", 1, repeat),
        ("chain", "chain", count, min(repeat, 3)),
        ("fan", "fan", count, min(repeat, 3)),
        ("each", "fan", wide, 1),
    ):
        made, samples = job(shape, steps), []
        for _ in range(times):
            begin = time.perf_counter()
            assert made.execute_in_process(instance=instance).success
            samples.append(time.perf_counter() - begin)
        print("seconds", name, statistics.median(samples), flush=True)
