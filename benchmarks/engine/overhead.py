"""What Millpond adds to Dask: wall seconds of no-op steps, bare Dask, Millpond and Prefect in one run.

    PYTHONPATH=src PYTHON benchmarks/engine/overhead.py [--steps 50] [--wide 1000] [--repeat 7]
        [--prefect PYTHON]

PYTHON is one that has dask, distributed and pydantic (the `science` environment). The same two worker
processes serve bare Dask and Millpond, in turns. Millpond writes its run record, looks for cached results
and keeps the new ones; every repetition has its own parameter, so that no step is taken from the cache; the
last line shows the same graph when every step is. Prefect runs with its own server on SQLite, in an
environment that is made with uv when none is named (`--no-prefect` leaves it out).
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster

from millpond.pipelines.document import read_pipeline
from millpond.pipelines.engines.dask import DaskEngine
from millpond.pipelines.runner import Runner

STEP = "def nothing(value: int = 0, salt: int = 0) -> int:\n    return value + 1\n"
PREFECT = Path(tempfile.gettempdir()) / "millpond-prefect"


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


def prefect(python: Path, steps: int, repeat: int) -> dict[str, float]:
    """Seconds of the same graphs in Prefect, with a server of its own."""
    with tempfile.TemporaryDirectory(prefix="millpond-prefect-") as home:
        names = {
            **os.environ,
            "PREFECT_HOME": home,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        }
        names.pop("PYTHONPATH", None)
        names.pop("PYTHONDONTWRITEBYTECODE", None)
        script = str(Path(__file__).with_name("prefect_flow.py"))
        done = subprocess.run(
            [str(python), script, str(steps), str(repeat)],
            env=names,
            capture_output=True,
            text=True,
            timeout=600,
        )
    if done.returncode:
        sys.exit(f"prefect failed:\n{done.stderr[-2000:]}")
    found = [line.split() for line in done.stdout.splitlines() if line.startswith("seconds ")]
    return {shape: float(seconds) for _, shape, seconds in found}


def prefect_python(wanted: Path | None) -> Path:
    """A Python that has Prefect; made with uv where there is none."""
    python = wanted or PREFECT / "bin" / "python"
    if not python.exists():
        subprocess.run(["uv", "venv", "-q", str(python.parent.parent)], check=True)
        command = ["uv", "pip", "install", "-q", "--compile-bytecode", "--python", str(python)]
        subprocess.run([*command, "--exclude-newer", "2026-10-15", "prefect", "asyncpg"], check=True)
    return python


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
        for shape, count in (("chain", steps), ("fan", steps), ("each", wide)):
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
    parser.add_argument("--prefect", type=Path)
    parser.add_argument("--no-prefect", action="store_true")
    options = parser.parse_args()
    samples = measure(options.steps, options.wide, options.repeat)
    others: dict[str, float] = {}
    if not options.no_prefect:
        others = prefect(prefect_python(options.prefect), options.steps, options.repeat)
    titles = {
        "dask": "bare Dask",
        "millpond": "Millpond, whole run with record and cache",
        "engine": "  of which the engine",
        "cached": "Millpond, every step cached",
    }
    print(f"no-op steps, median of {options.repeat} (least), seconds and times bare Dask\n")
    heads = (f"{options.steps} in a chain", f"{options.steps} side by side", f"1 for each of {options.wide}")
    print(f"{'':44}{''.join(f'{head:>24}' for head in heads)}")
    for name, title in titles.items():
        cells = []
        for shape in ("chain", "fan", "each"):
            values, base = samples[shape][name], statistics.median(samples[shape]["dask"])
            middle = statistics.median(values)
            cells.append(f"{middle:.3f} ({min(values):.3f}) {middle / base:5.2f}x")
        print(f"{title:44}{''.join(f'{cell:>24}' for cell in cells)}")
    if others:
        cells = []
        for shape in ("chain", "fan"):
            base = statistics.median(samples[shape]["dask"])
            cells.append(f"{others[shape]:.3f} {others[shape] / base:5.2f}x")
        print(f"{'Prefect (SQLite)':44}{cells[0]:>24}{cells[1]:>24}")


if __name__ == "__main__":
    main()
