"""The interface ``dask``: what every provider of a scheduler with workers has to do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_CLIENT = """
import json, os
from dask.distributed import Client, get_worker, wait
import dask.array as da
client = Client(os.environ["DASK_SCHEDULER_ADDRESS"], timeout=30)
client.wait_for_workers(1, timeout=60)
def where(number):
    return (os.getpid(), number * number)
chain = client.submit(lambda x: x + 1, 1)
for _ in range(10):
    chain = client.submit(lambda x: x + 1, chain)
def fails():
    raise ValueError("as asked")
failed = client.submit(fails)
wait(failed)
def finds():
    wanted = ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "PGHOST")
    return sorted(name for name in wanted if os.environ.get(name))
places = client.gather(client.map(where, range(5), pure=False))
print(json.dumps({
    "squares": [square for _, square in client.gather(client.map(where, range(5)))],
    "elsewhere": os.getpid() not in {pid for pid, _ in places},
    "chain": chain.result(),
    "mean": float(da.ones((200, 200), chunks=50).mean().compute()),
    "error": str(failed.exception()),
    "finds": client.submit(finds).result(),
    "workers": len(client.scheduler_info()["workers"]),
}))
"""


def test_work_is_done_on_its_workers(
    environment: dict[str, str], science_python: Path, tmp_path: Path
) -> None:
    keep = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    script = tmp_path / "client.py"
    script.write_text(_CLIENT)
    done = subprocess.run(
        [str(science_python), str(script)],
        env={**keep, "DASK_SCHEDULER_ADDRESS": environment["DASK_SCHEDULER_ADDRESS"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["squares"] == [0, 1, 4, 9, 16]
    assert found["elsewhere"]
    assert found["chain"] == 12
    assert found["mean"] == 1.0
    assert found["error"] == "as asked"
    assert found["workers"] == 2
    # What a worker is told by nobody: its environment has the platform's services.
    assert found["finds"] == ["AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "PGHOST"]
