"""The client: wrk, one thread, so many connections, one request after the other on each."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HINT = "wrk is not on PATH: sudo apt-get install wrk, or brew install wrk"


@dataclass(frozen=True)
class Run:
    """What wrk saw: requests per second and in all, latencies in milliseconds."""

    rate: float
    requests: int
    p50: float
    p99: float
    errors: str = ""


def available() -> bool:
    """Whether wrk can be called."""
    return shutil.which("wrk") is not None


def load(url: str, body: Any, connections: int, seconds: float, scratch: Path) -> Run:
    """Ask as fast as answers come."""
    script = scratch / "request.lua"
    script.write_text(
        'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\n'
        f"wrk.body = {json.dumps(json.dumps(body))}\n"
    )
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    command += ["--latency", "-s", str(script), url]
    text = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: (.*)", text)
    return Run(
        rate=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        requests=int(_found(r"(\d+) requests in", text)),
        p50=_milliseconds(text, "50%"),
        p99=_milliseconds(text, "99%"),
        errors=errors[0] if errors else "",
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def _milliseconds(text: str, row: str) -> float:
    match = re.search(rf"{row}\s+([\d.]+)(us|ms|s|m)\b", text)
    assert match is not None, text
    return float(match[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[match[2]]
