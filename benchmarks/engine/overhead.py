"""What Millpond adds to Dask: wall seconds of no-op steps, beside bare Dask and other engines, in one run.

    PYTHONPATH=src PYTHON benchmarks/engine/overhead.py [--steps 50] [--wide 1000] [--repeat 7]
        [--peers prefect,airflow,dagster,zenml,kedro] [--environments DIR]

PYTHON is one that has dask, distributed and pydantic (the `science` environment). The same two worker
processes serve bare Dask and Millpond, in turns. Millpond writes its run record, looks for cached results
and keeps the new ones; every repetition has its own parameter, so that no step is taken from the cache; the
last line shows the same graph when every step is. The peers run the same graphs as their users write them,
each in an environment that is made with uv from the pins in `peers/`; 1,000 steps only those that do them in
minutes.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster
from peer import PEERS, SHAPES, python_of, seconds

from millpond.pipelines.document import read_pipeline
from millpond.pipelines.engines.dask import DaskEngine
from millpond.pipelines.runner import Runner

STEP = "def nothing(value: int = 0, salt: int = 0) -> int:\n    return value + 1\n"


def nothing(value: int = 0, salt: int = 0) -> int:
    """A step of bare Dask."""
    return value + 1


def pipeline_text(shape: str, steps: int) -> str:
    """A pipeline file of no-op steps: a chain, a fan of so many steps, or one step for each of many items."""
    lines = [f"name: {shape}", "parameters:", "  salt: {type: integer, default: 0}", "steps:"]
    if shape == "each":
        lines += [
            "  s:",
            f"    each: {{n: [{', '.join(map(str, range(steps)))}]}}",
            "    call: steps:nothing",
        ]
        lines += ['    with: {salt: "${parameters.salt}", value: "${each.n}"}']
        lines += ["    outputs: {value: {type: number}}"]
        return "\n".join(lines) + "\n"
    for number in range(steps):
        lines += [f"  s{number}:", "    call: steps:nothing", '    with: {salt: "${parameters.salt}"}']
        if shape == "chain" and number:
            lines.append(f'    inputs: {{value: "${{s{number - 1}.value}}"}}')
        lines.append("    outputs: {value: {type: number}}")
    return "\n".join(lines) + "\n"


def bare(client: Client, shape: str, steps: int) -> float:
    """Seconds of futures with dependencies, submitted one by one as Dask's users do."""
    begin = time.perf_counter()
    if shape == "chain":
        future = client.submit(nothing, pure=False)
        for _ in range(steps - 1):
            future = client.submit(nothing, future, pure=False)
        result = future.result()
        assert result == steps
    else:
        futures = [client.submit(nothing, number, pure=False) for number in range(steps)]
        client.gather(futures)
    return time.perf_counter() - begin


def ours(client: Client, folder: Path, runs: Path, salt: int, force: bool = False) -> tuple[float, float]:
    """Seconds from the read pipeline to the finished record; and of the engine alone."""
    pipeline = read_pipeline(folder, strict=True)
    engine = _Timed(client)
    begin = time.perf_counter()
    record = Runner(pipeline, runs, {"salt": salt}, lambda event: None).run(engine)
    seconds = time.perf_counter() - begin
    assert record.status == "succeeded", record.status
    return seconds, engine.seconds


class _Timed(DaskEngine):
    seconds = 0.0

    def execute(self, work: Any, report: Any) -> Any:
        """Run, and take the time."""
        begin = time.perf_counter()
        try:
            return super().execute(work, report)
        finally:
            self.seconds = time.perf_counter() - begin


def measure(steps: int, wide: int, repeat: int) -> dict[str, dict[str, list[float]]]:
    """All samples: shape -> engine -> seconds."""
    found: dict[str, dict[str, list[float]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="millpond-bench-") as place,
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            silence_logs=logging.ERROR,
            local_directory=place,
        ) as cluster,
        Client(cluster) as client,
    ):
        for shape, count in (("single", 1), ("chain", steps), ("fan", steps), ("each", wide)):
            folder = Path(place) / shape
            folder.mkdir()
            (folder / "steps.py").write_text(STEP)
            (folder / "pipeline.yaml").write_text(pipeline_text(shape, count))
            runs = Path(place) / f"runs-{shape}"
            samples: dict[str, list[float]] = {"dask": [], "millpond": [], "engine": [], "cached": []}
            for salt in range(-1, repeat):
                plain = bare(client, shape, count)
                whole, engine = ours(client, folder, runs, salt)
                again, _ = ours(client, folder, runs, salt)
                if salt >= 0:
                    for name, value in zip(samples, (plain, whole, engine, again), strict=True):
                        samples[name].append(value)
            found[shape] = samples
    return found


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--wide", type=int, default=1000, help="items of the one step that fans out")
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--peers", default=",".join(peer.name for peer in PEERS), help="empty for none")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "millpond-peers",
        help="where the peers' environments are kept",
    )
    options = parser.parse_args()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    samples = measure(options.steps, options.wide, options.repeat)
    wanted = [peer for peer in PEERS if peer.name in options.peers.split(",")]
    others = {}
    for peer in wanted:
        python = python_of(peer, options.environments)
        others[peer.name] = seconds(peer, python, options.steps, options.wide, options.repeat)
    print(f"and after: {os.getloadavg()[0]:.1f}\n")
    titles = {
        "dask": "bare Dask",
        "millpond": "Millpond, whole run with record and cache",
        "engine": "  of which the engine",
        "cached": "Millpond, every step cached",
    }
    print(f"no-op steps, median of {options.repeat} (least), seconds and times bare Dask\n")
    heads = (
        "1 step",
        f"{options.steps} in a chain",
        f"{options.steps} side by side",
        f"1 for each of {options.wide}",
    )
    print(f"{'':44}{''.join(f'{head:>24}' for head in heads)}")
    base = {shape: statistics.median(samples[shape]["dask"]) for shape in SHAPES}
    for name, title in titles.items():
        cells = []
        for shape in SHAPES:
            values = samples[shape][name]
            middle = statistics.median(values)
            cells.append(f"{middle:.3f} ({min(values):.3f}) {middle / base[shape]:5.2f}x")
        print(f"{title:44}{''.join(f'{cell:>24}' for cell in cells)}")
    for peer_name, found in others.items():
        cells = [
            f"{found[shape]:.3f} {found[shape] / base[shape]:5.1f}x" if shape in found else ""
            for shape in SHAPES
        ]
        print(f"{peer_name:44}{''.join(f'{cell:>24}' for cell in cells)}")
    print()
    for peer in wanted:
        print(f"{peer.name}: {peer.note}")


if __name__ == "__main__":
    main()
