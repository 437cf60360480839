"""The other engines: an environment for each, pinned, and the seconds that each takes for the same graphs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent / "peers"
SHAPES = ("single", "chain", "fan", "each")
_LONGEST = 1800


@dataclass(frozen=True)
class Peer:
    """One engine.

    Attributes:
        script: in `peers/`; it prints ``seconds SHAPE VALUE``.
        note: what is measured.
        env: what keeps it quiet and at home; ``{home}`` is a folder that is removed afterwards.
    """

    name: str
    script: str
    note: str
    env: dict[str, str] = field(default_factory=dict)


PEERS = (
    Peer(
        "prefect",
        "prefect_flow.py",
        "threads of one process, its own server on SQLite",
        {
            "PREFECT_HOME": "{home}",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        },
    ),
    Peer("airflow", "airflow_run.py", "LocalExecutor, SQLite, 4 at once; each graph once"),
    Peer("dagster", "dagster_run.py", "in process, events on SQLite", {"DAGSTER_HOME": "{home}"}),
    Peer(
        "zenml",
        "zenml_run.py",
        "local stack, SQLite; each graph once",
        {
            "ZENML_CONFIG_PATH": "{home}",
            "ZENML_LOCAL_STORES_PATH": "{home}/stores",
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_LOGGING_VERBOSITY": "ERROR",
            "AUTO_OPEN_DASHBOARD": "false",
        },
    ),
    Peer(
        "kedro",
        "kedro_run.py",
        "in process, one after the other, nothing kept",
        {"KEDRO_DISABLE_TELEMETRY": "1"},
    ),
)


def python_of(peer: Peer, place: Path) -> Path:
    """An interpreter that has what `peers/NAME.txt` pins; made with uv the first time."""
    pins = HERE / f"{peer.name}.txt"
    folder = place / f"{peer.name}-{hashlib.sha256(pins.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin/python"
    if not (folder / "complete").exists():
        subprocess.run(["uv", "venv", "-q", "--clear", "--python", "3.11", str(folder)], check=True)
        command = ["uv", "pip", "install", "-q", "--compile-bytecode", "--python", str(python)]
        subprocess.run([*command, "-r", str(pins)], check=True)
        (folder / "complete").touch()
    return python


def seconds(peer: Peer, python: Path, steps: int, wide: int, repeat: int) -> dict[str, float]:
    """Shape -> seconds; a shape that the peer does not do in reasonable time is not there."""
    with tempfile.TemporaryDirectory(prefix=f"millpond-{peer.name}-", ignore_cleanup_errors=True) as home:
        names = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        names |= {name: value.format(home=home) for name, value in peer.env.items()}
        names |= {"DO_NOT_TRACK": "1", "BENCHMARK_HOME": f"{home}/home"}
        names["PATH"] = f"{python.parent}{os.pathsep}{names['PATH']}"
        done = subprocess.run(
            [str(python), str(HERE / peer.script), str(steps), str(wide), str(repeat)],
            cwd=home,
            env=names,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
        )
    if done.returncode:
        sys.stderr.write(f"{peer.name} failed:\n{done.stderr[-2000:]}\n")
    found = [line.split() for line in done.stdout.splitlines() if line.startswith("seconds ")]
    return {shape: float(value) for _, shape, value in found if shape in SHAPES}
