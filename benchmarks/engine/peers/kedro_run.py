"""The graphs of `overhead.py` as Kedro pipelines in one process, one node after the other."""

from __future__ import annotations

import logging
import statistics
import sys
import time

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner


def nothing(value: int) -> int:
    """A no-op step."""
    return value + 1


def graph(shape: str, steps: int) -> Pipeline:
    """A chain, or a fan of so many nodes."""
    before = [
        f"v{number}" if shape == "chain" and number >= 0 else "start" for number in range(-1, steps - 1)
    ]
    return Pipeline(
        [node(nothing, source, f"v{number}", name=f"s{number}") for number, source in enumerate(before)]
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    count, wide, repeat = map(int, sys.argv[1:4])
    for name, shape, steps in (
        ("warm-up", "chain", 3),
        ("single", "chain", 1),
        ("chain", "chain", count),
        ("fan", "fan", count),
        ("each", "fan", wide),
    ):
        samples = []
        for _ in range(repeat):
            pipeline, catalog = graph(shape, steps), DataCatalog({"start": MemoryDataset(0)})
            begin = time.perf_counter()
            SequentialRunner().run(pipeline, catalog)
            samples.append(time.perf_counter() - begin)
        print("seconds", name, statistics.median(samples), flush=True)
