"""Servers as processes: started, asked until they answer, weighed, and stopped with all that they started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from servers import FLIGHTS, HOST, PEERS, SOURCE, Place, Server

START_SECONDS = 120


class PeerError(Exception):
    """A server cannot be measured; says why."""


@contextmanager
def running(server: Server, place: Place) -> Iterator[tuple[int, float]]:
    """The server's process id and the seconds that it took to be ready."""
    log = place.scratch / "log"
    environment = environment_of(place, server.environment)
    began = time.perf_counter()
    with log.open("wb") as file:
        process = subprocess.Popen(
            server.command(place),
            stdout=file,
            stderr=file,
            env=environment,
            cwd=place.scratch,
            start_new_session=True,
        )
    try:
        while not _answers(f"http://{HOST}:{place.port}{server.ready}"):
            if process.poll() is not None or time.perf_counter() - began > START_SECONDS:
                tail = " | ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
                raise PeerError(f"it does not start: {tail[-400:]}")
            time.sleep(0.02)
        yield process.pid, time.perf_counter() - began
    finally:
        _stop(process)


def environment_of(place: Place, more: dict[str, str] | None = None) -> dict[str, str]:
    """The same for all: the model, the peers' common files, no telemetry, one thread for a row."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MILLPOND"))}
    return {
        **kept,
        "PATH": os.pathsep.join([str(place.python.parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, PEERS, FLIGHTS))),
        "BENCH_MODEL": str(place.model),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "OMP_NUM_THREADS": "1",
        **(more or {}),
    }


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Those that leave children behind on SIGTERM have them ended with the group."""
    family = [pid for pid, _ in _tree(process.pid)]
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _tree(root: int) -> list[tuple[int, int]]:
    """Process ids and resident KiB of a process and all that it started."""
    text = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,rss="], capture_output=True, text=True, check=True
    ).stdout
    rows = [tuple(map(int, line.split())) for line in text.splitlines()]
    found, left = [], [root]
    while left:
        pid = left.pop()
        found += [(pid, rss) for each, _, rss in rows if each == pid]
        left += [each for each, parent, _ in rows if parent == pid]
    return found


def memory(pid: int) -> float:
    """Resident MB of the process and all that it started."""
    return sum(rss for _, rss in _tree(pid)) * 1024 / 1e6


def processor(pid: int) -> float | None:
    """Processor seconds that they have used; None where there is no /proc."""
    total = 0.0
    for each, _ in _tree(pid):
        stat = Path(f"/proc/{each}/stat")
        if not stat.exists():
            return None
        words = stat.read_text().rsplit(")", 1)[1].split()
        total += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return total


def check(server: Server, place: Place) -> None:
    """The prediction has to be right before its speed means anything.

    Raises:
        PeerError: it is not.
    """
    expected = json.loads((place.model / "expected.json").read_text())
    request = urllib.request.Request(
        f"http://{HOST}:{place.port}{server.path}",
        json.dumps(server.body(place)).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise PeerError(f"it answers {error.code}: {error.read()[:200]!r}") from error
    except OSError as error:
        raise PeerError(f"it does not answer: {error}") from error
    if server.name == "limit, nothing":
        return
    try:
        found = _numbers(json.loads(text))
    except (ValueError, TypeError, LookupError) as error:
        raise PeerError(f"it answers {text[:200]!r}") from error
    if len(found) != len(expected) or any(
        abs(one - other) > 1e-5 * max(1, abs(other)) for one, other in zip(found, expected, strict=True)
    ):
        raise PeerError(f"it answers {found[:3]}, not {expected[:3]}")


def _numbers(answer: Any) -> list[float]:
    values = answer["outputs"][0]["data"] if "outputs" in answer else answer["predictions"]
    while values and isinstance(values[0], list):
        values = [item for row in values for item in row]
    return [float(value) for value in values]


def bare_memory(place: Place) -> float:
    """Resident MB of a process that has loaded the model and predicted once, and nothing else."""
    done = subprocess.run(
        [str(place.python), str(PEERS / "bare_model.py")],
        env=environment_of(place),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        print(f"the bare model cannot be weighed: {done.stderr[-200:]}", file=sys.stderr)
        return 0.0
    return int(done.stdout) / 1e6
