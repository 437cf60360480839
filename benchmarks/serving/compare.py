"""Millpond's model server beside ``mlflow models serve``: the same iris model, a process each, wrk in front.

Usage, in the science environment, with wrk on PATH and ``src`` on PYTHONPATH:

    python benchmarks/serving/compare.py [--seconds 5] [--concurrency 1 16]

Prints one table: requests per second, p50 and p99, resident memory, seconds from start to ready, and the
ratios. The client shares the machine with the servers, so only the ratios travel.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ROW = [5.1, 3.5, 1.4, 0.2]


@dataclass
class Server:
    """A way to serve the model."""

    name: str
    command: list[str]
    port: int
    ready: str
    path: str
    body: dict[str, object]


@dataclass
class Result:
    """What was measured of one server."""

    ready: float
    memory: float
    runs: dict[int, tuple[float, float, float]]


def make_model(folder: Path) -> list[str]:
    """The iris classifier as an MLflow model; returns its columns."""
    import mlflow
    from mlflow.models import infer_signature
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    warnings.simplefilter("ignore")
    features, target = load_iris(return_X_y=True, as_frame=True)
    model = LogisticRegression(max_iter=500).fit(features, target)
    mlflow.sklearn.save_model(
        model,
        str(folder),
        signature=infer_signature(features, model.predict(features)),
        input_example=features.head(2),
        skops_trusted_types=["sklearn.linear_model._logistic.LogisticRegression"],
    )
    return list(features.columns)


def servers(folder: Path, columns: list[str]) -> list[Server]:
    """Those that are compared; the first is what the others are measured against."""
    python = sys.executable
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(columns, ROW, strict=True)
    ]
    own = [python, "-m", "millpond.serving.server", "--model-dir", str(folder), "--name", "iris", "--port"]
    peer = [
        python,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder),
        "--env-manager",
        "local",
        "-h",
        HOST,
    ]
    table = {"dataframe_split": {"columns": columns, "data": [ROW]}}
    ready = "/v2/health/ready"
    return [
        Server("mlflow models serve", [*peer, "-p", "22410"], 22410, "/ping", "/invocations", table),
        Server("millpond, V2", [*own, "22411"], 22411, ready, "/v2/models/iris/infer", {"inputs": tensors}),
        Server(
            "millpond, V1", [*own, "22412"], 22412, ready, "/v1/models/iris:predict", {"instances": [ROW]}
        ),
    ]


@contextmanager
def running(server: Server, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """The server, ready, and the seconds it took."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    began = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            server.command, stdout=file, stderr=file, env=environment, start_new_session=True
        )
    try:
        while not _answers(server):
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise SystemExit(f"{server.name} does not start:\n{log.read_text()}")
            time.sleep(0.02)
        yield process, time.perf_counter() - began
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{server.port}{server.ready}", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def check(server: Server) -> None:
    """The prediction has to be right before its speed means anything."""
    request = urllib.request.Request(
        f"http://{HOST}:{server.port}{server.path}",
        json.dumps(server.body).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found = json.load(answer)
    value = found["outputs"][0]["data"] if "outputs" in found else found["predictions"]
    assert value == [0], found


def load(server: Server, concurrency: int, seconds: float, script: Path) -> tuple[float, float, float]:
    """Requests per second, and the latencies p50 and p99 in milliseconds."""
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = {json.dumps(json.dumps(server.body))}\n"
    )
    url = f"http://{HOST}:{server.port}{server.path}"
    command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds:g}s", "--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    if "Non-2xx" in text:
        raise SystemExit(f"{server.name} refused requests:\n{text}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])  # type: ignore[index]
    return rate, _milliseconds(text, "50%"), _milliseconds(text, "99%")


def _milliseconds(text: str, row: str) -> float:
    value, unit = re.search(rf"{row}\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident MB of the process and all that it started."""
    import psutil

    root = psutil.Process(process.pid)
    return sum(item.memory_info().rss for item in (root, *root.children(recursive=True))) / 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16])
    options = parser.parse_args()
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        columns = make_model(root / "iris")
        for server in servers(root / "iris", columns):
            with running(server, root / "log") as (process, ready):
                check(server)
                load(server, options.concurrency[-1], 1, root / "warm.lua")
                runs = {
                    count: load(server, count, options.seconds, root / "run.lua")
                    for count in options.concurrency
                }
                results[server.name] = Result(ready, memory(process), runs)
    _print(results, options.concurrency)


def _print(results: dict[str, Result], concurrency: list[int]) -> None:
    base = next(iter(results.values()))
    print("| server | at | req/s | ratio | p50 ms | p99 ms | p99 ratio | MB | ready s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, found in results.items():
        for count in concurrency:
            rate, p50, p99 = found.runs[count]
            other = base.runs[count]
            print(
                f"| {name} | {count} | {rate:.0f} | {rate / other[0]:.2f} | {p50:.2f} | {p99:.2f} "
                f"| {p99 / other[2]:.2f} | {found.memory:.0f} | {found.ready:.1f} |"
            )


if __name__ == "__main__":
    main()
