"""Millpond's model server beside its peers and the limit: the same models, one worker each, wrk in front.

    python benchmarks/serving/compare.py [--models iris flights onnx] [--peers mlserver kserve ...]
        [--connections 1 16 64] [--seconds 10] [--json FILE]

Needs wrk and uv; run it with Millpond's own interpreter (``.venv/bin/python``). Every peer gets an
environment of its own from ``peers/NAME.txt``, kept in ``--environments`` for the next time. Servers run one
after the other, so that each has the machine to itself; the client shares it, so only ratios travel.
A peer that cannot be installed, started or trusted is named with the reason.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import report
import wrk
from processes import PeerError, bare_memory, check, memory, processor, running
from servers import HERE, HOST, PEERS, SERVERS, SOURCE, Place, Server

from millpond.targets.local.installs import InstallRequest, InstallStore
from millpond.targets.local.installs.python import find_uv

LOCK = SOURCE / "millpond/catalogue/environments/science/requirements.lock"
AS_OF = "2026-11-15"
FIRST_PORT = 22410


def science() -> Path:
    """The interpreter of the environment that Millpond's model servers run in."""
    request = InstallRequest("science", LOCK.parent, {"pip": LOCK.name})
    return asyncio.run(InstallStore().ensure(request)).paths["pip"] / "bin/python"


def environment(name: str, root: Path) -> Path:
    """The interpreter of a peer's environment, made on first use.

    Raises:
        PeerError: it cannot be installed.
    """
    if name == "science":
        return science()
    requirements = PEERS / f"{name}.txt"
    folder = root / name
    python = folder / "bin/python"
    done = folder / "complete"
    if done.exists() and done.read_text() == requirements.read_text():
        return python
    uv = find_uv()
    print(f"installing {name}", file=sys.stderr)
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [
            *(uv, "pip", "install", "--quiet", "--python", str(python), "--exclude-newer", AS_OF),
            *("-r", str(requirements)),
        ],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise PeerError(f"it cannot be installed: {error.stderr.strip()[-300:]}") from error
    done.write_text(requirements.read_text())
    return python


def measure(server: Server, place: Place, connections: list[int], seconds: float) -> dict[str, Any]:
    """Start, check, warm up, and ask; see `PeerError`."""
    url = f"http://{HOST}:{place.port}{server.path}"
    body = server.body(place)
    with running(server, place) as (pid, ready):
        check(server, place)
        wrk.load(url, body, 16, min(2.0, seconds), place.scratch)
        runs = {}
        for count in connections:
            before = processor(pid)
            run = wrk.load(url, body, count, seconds, place.scratch)
            after = processor(pid)
            used = None if before is None or after is None else (after - before) / max(1, run.requests) * 1e6
            runs[str(count)] = {**vars(run), "cpu_us": used}
        check(server, place)
        return {"ready": ready, "mb": memory(pid), "peer": server.peer, "runs": runs}


def main() -> None:
    """Measure and print."""
    peers = [server.name for server in SERVERS if server.peer]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["iris", "flights", "onnx"])
    parser.add_argument("--peers", nargs="*", default=peers, help=f"of {', '.join(peers)}")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "millpond-benchmarks"
    parser.add_argument("--environments", type=Path, default=cache)
    options = parser.parse_args()
    if not wrk.available():
        raise SystemExit(wrk.HINT)
    unknown = set(options.peers) - set(peers)
    if unknown:
        raise SystemExit(f"unknown peers: {', '.join(sorted(unknown))}; there are {', '.join(peers)}")
    models = options.environments / "models"
    make_models(models, options)
    figures: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "time": time.time()},
        "seconds": options.seconds,
        "models": {name: of_model(models / name, options) for name in options.models},
    }
    for line in (*report.table(figures), *report.goals(figures)):
        print(line)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def make_models(folder: Path, options: argparse.Namespace) -> None:
    """The three models, once."""
    variables = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONPATH": str(SOURCE)}
    if "onnx" in options.models:
        variables["BENCH_ONNX_PYTHON"] = str(environment("millpond-onnx", options.environments))
    command = [str(science()), str(HERE / "models.py"), str(folder), *options.models]
    done = subprocess.run(command, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the models cannot be made:\n{done.stderr[-2000:]}")


def of_model(model: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All servers' figures for one model."""
    found: dict[str, Any] = {"bare_mb": 0.0, "servers": {}, "missing": {}}
    for number, server in enumerate(SERVERS):
        if server.peer and server.name not in options.peers:
            found["missing"][server.name] = "left out by --peers"
            continue
        if model.name not in server.models:
            found["missing"][server.name] = f"it does not serve {model.name}"
            continue
        venv = "millpond-onnx" if server.venv == "science" and model.name == "onnx" else server.venv
        print(f"{model.name}: {server.name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            try:
                python = environment(venv, options.environments)
                place = Place(model, FIRST_PORT + 4 * number, Path(scratch), python)
                if server.name == "millpond":
                    found["bare_mb"] = bare_memory(place)
                found["servers"][server.name] = measure(server, place, options.connections, options.seconds)
            except PeerError as error:
                found["missing"][server.name] = str(error)
    return found


if __name__ == "__main__":
    main()
