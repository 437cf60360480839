"""What carries the log of a model pod: all of it is in the lake when it ends, as the pod's disk goes then."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from millpond_monitor import Revision, ids, rows, until

from model_servers import service_environment

pytestmark = pytest.mark.slow
Make = Callable[..., Revision]


def test_what_a_server_noted_last_is_in_the_lake_when_the_pod_ends(
    science_python: Path, tmp_path: Path, revision: Make
) -> None:
    lake, data = tmp_path / "lake", tmp_path / "data"
    (lake / "predictions").mkdir(parents=True)
    kept = {key: value for key, value in service_environment().items() if not key.startswith("AWS_")}
    command = [str(science_python), "-m", "millpond.serving.monitor.carrier", "--data", str(data)]
    carrier = subprocess.Popen(
        [*command, "--deployment", "flights", "--mode", "request", "--batch-seconds", "600"],
        env={**kept, "MILLPOND_LAKE_ROOT": str(lake)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        settings = data / "predictions/flights/monitor.json"
        until(settings.is_file, "the carrier does not say what is noted", 60)
        control = json.loads((settings.parent / "control.json").read_text())
        assert control == {"mode": "request", "sample": 1.0}
        log = revision(data, "flights", "flights-00001", mode="request")
        sent = [log.predict({"x": float(number)}, 0.5) for number in range(3)]
        log.close()
        assert not list(lake.rglob("*.parquet")), "a batch waits for more"
        carrier.terminate()
        said = carrier.communicate(timeout=60)[1]
        assert carrier.returncode == 0, said
    finally:
        carrier.kill()
        carrier.wait()
    (file,) = lake.rglob("*.parquet")
    assert file.parent.parent == lake / "predictions/default/flights"
    assert file.stem.startswith(f"{socket.gethostname()}.flights-00001-"), "pods that write at once"
    assert ids(rows(science_python, [file])) == sent

    question = {
        "what": "window",
        "name": "flights",
        "settings": {"primary": "flights-00001"},
        "query": {"since": "1h"},
        "since": time.time() - 3600,
    }
    asked = [
        str(science_python),
        "-m",
        "millpond.serving.cluster.pod",
        "ask",
        "--question",
        json.dumps(question),
    ]
    environment = {**kept, "MILLPOND_LAKE_ROOT": str(lake)}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = "".join(line.removeprefix("answer:") for line in done.stdout.splitlines())
    assert json.loads(base64.b64decode(told))["requests"] == 3, "who asks later finds them there"
