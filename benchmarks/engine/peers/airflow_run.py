"""The graphs of `overhead.py` in Airflow: API server, scheduler, DAG processor on SQLite, each DAG once.

The seconds are those from the run's beginning to its end, as Airflow keeps them.
"""

from __future__ import annotations

import datetime
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
NAMES = ("single", "chain", "fan")


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def call(url: str, token: str = "", body: Any = None) -> Any:
    """What the API answers."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
        return json.loads(answer.read())


def until(asked: Any, seconds: float = 300) -> Any:
    """What is asked for, once it is there."""
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError):  # which HTTPError is, too
            if found := asked():
                return found
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.5)


def settings(home: Path, port: int) -> dict[str, str]:
    """Airflow's configuration."""
    return {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BENCHMARK_STEPS": sys.argv[1],
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "1000",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
    }


def main() -> None:
    """Start it, run the DAGs one after the other, stop it."""
    home, port = Path(os.environ["BENCHMARK_HOME"]), free_port()
    (home / "dags").mkdir(parents=True)
    shutil.copy(HERE / "airflow_dags.py", home / "dags")
    env, url = settings(home, port), f"http://127.0.0.1:{port}"
    subprocess.run(["airflow", "db", "migrate"], env=env, check=True, capture_output=True)
    processes = [
        subprocess.Popen(
            ["airflow", *words],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for words in (
            ["api-server", "--host", "127.0.0.1", "--port", str(port)],
            ["scheduler"],
            ["dag-processor"],
        )
    ]
    try:
        token = until(lambda: call(f"{url}/auth/token"))["access_token"]
        until(lambda: call(f"{url}/api/v2/dags", token)["total_entries"] == len(NAMES))
        for name in NAMES:
            runs = f"{url}/api/v2/dags/{name}/dagRuns"
            run = call(runs, token, {"logical_date": None})["dag_run_id"]

            def over(place: str = f"{runs}/{run}") -> Any:
                found = call(place, token)
                return found if found["state"] in ("success", "failed") else None

            found = until(over, 900)
            assert found["state"] == "success", name
            begin, end = (datetime.datetime.fromisoformat(found[key]) for key in ("start_date", "end_date"))
            print("seconds", name, (end - begin).total_seconds(), flush=True)
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
