"""Events in the lake: whole, exactly once, whatever dies, and what is missing is said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from millpond_monitor import Monitor, Revision, ids, rows, until

from loopback import free_port
from model_servers import SOURCE

pytestmark = pytest.mark.slow
Make = Callable[..., Revision]


def test_events_are_kserves(monitor: Monitor, revision: Make, science_python: Path) -> None:
    monitor.settings("flights", namespace="team", primary="flights-1")
    monitor.start()
    log = revision(monitor.folder, "flights", "flights-1")
    when = 1_790_000_000.25
    identity = log.predict({"x": 1.0}, 0.5, ms=250.0, arrival=when)
    log.log(b"\x00\xff", b"\x01\xfe", identity="binary", header_length=1, response_header_length=1)
    log.feedback(identity, reward=1)
    log.close()
    until(monitor.lake_files, "no file is in the lake")
    [file] = monitor.lake_files()
    assert file.parent == monitor.folder / "predictions-lake/team/flights/date=2026-09-21"
    assert file.name.startswith("flights-1-")
    request, response, *binary, feedback = rows(science_python, [file])
    assert request["type"] == "org.kubeflow.serving.inference.request"
    assert response["type"] == "org.kubeflow.serving.inference.response"
    assert request["specversion"] == "1.0"
    assert request["id"] == response["id"] == feedback["id"] == identity
    assert (request["inferenceservicename"], request["namespace"]) == ("flights", "team")
    assert (request["component"], request["endpoint"]) == ("predictor", "flights-1")
    assert request["source"] == "/namespaces/team/inferenceservices/flights/revisions/flights-1"
    assert json.loads(request["data"])["inputs"][0]["data"] == [1.0]
    assert json.loads(response["data"])["outputs"][0]["data"] == [0.5]
    assert (request["time"], response["time"]) == (
        "2026-09-21 14:13:20.250000+00:00",
        "2026-09-21 14:13:20.500000+00:00",
    )
    assert (response["status"], response["latency_ms"], response["shadow"]) == (200, 250.0, False)
    assert [row["data_binary"] for row in binary] == ["\x00\xff", "\x01\xfe"]
    assert [row["header_length"] for row in binary] == [1, 1]
    assert feedback["type"] == "dev.millpond.serving.feedback"
    assert json.loads(feedback["data"]) == {"id": identity, "reward": 1}


def test_a_log_of_one_side_has_events_of_one_side(
    monitor: Monitor, revision: Make, science_python: Path
) -> None:
    monitor.start()
    for side in ("request", "response"):
        log = revision(monitor.folder, side, side, mode=side)
        log.predict({"x": 1.0}, 0.5)
        log.close()
    until(lambda: len(monitor.lake_files()) == 2, "no files are in the lake")
    found = rows(science_python, monitor.lake_files())
    assert [(row["inferenceservicename"], row["type"].rpartition(".")[2]) for row in found] == [
        ("request", "request"),
        ("response", "response"),
    ]
    assert [row["status"] for row in found] == [200, 200]


def test_each_event_is_there_once_however_often_the_monitor_is_killed(
    monitor: Monitor, revision: Make, science_python: Path
) -> None:
    log = revision(monitor.folder, "killed", "killed-1")
    sent: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            sent.append(log.predict({"x": 1.0}, 0.5))
            stop.wait(0.002)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for pause in (0.3, 1.7, 1.1, 2.3, 0.7):
            monitor.start()
            stop.wait(pause)  # wherever it is by then
            monitor.kill()
    finally:
        stop.set()
        writer.join()
    log.close()
    monitor.start()
    found = monitor.wait_for("killed", len(sent))
    assert found["requests"] == len(sent)  # what was there before the kills is in the window again
    until(lambda: not list((monitor.folder / "predictions/killed").glob("*.seg")), "segments stay")
    until(lambda: not list((monitor.folder / "monitor/killed/waiting").iterdir()), "files wait")
    events = rows(science_python, monitor.lake_files())
    assert sorted(ids(events)) == sorted(ids(events, "inference.response")) == sorted(sent)


WRITER = """
import os, sys, time
from pathlib import Path
from millpond.serving.predictionlog import Control, SegmentWriter
place = Path(sys.argv[1])
Control("all").write(place)
log = SegmentWriter(place, deployment="crashed", revision="crashed-1", version="1")
for number in range(50):
    log.prediction(
        f"r{number}", b"{}", b"{}", arrival=time.time(), ms=1.0, status=200, protocol="v2", path="/"
    )
while log.written < 50:
    time.sleep(0.01)
print("written", flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_that_was_killed_leaves_a_gap_that_is_told(monitor: Monitor, science_python: Path) -> None:
    monitor.start()
    place = monitor.folder / "predictions/crashed"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(place)],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "written\n"), done.stderr
    found = monitor.wait_for("crashed", 50)
    assert (found["requests"], found["log"]["gaps"]) == (50, 1)
    until(monitor.lake_files, "no file is in the lake")
    *_, gap = rows(science_python, monitor.lake_files())
    assert gap["type"] == "dev.millpond.serving.gap"
    assert json.loads(gap["data"])["reason"] == "crash"
    assert "up to its last second may be missing" in monitor.log.read_text()
    assert not list(place.glob("*.open"))


def test_what_a_server_could_not_write_is_counted(monitor: Monitor, science_python: Path) -> None:
    monitor.start()
    log = Revision(monitor.folder, "full", "full-1")
    log.writer.close()
    small = type(log.writer)(
        monitor.folder / "predictions/full", deployment="full", revision="full-1", version="1", queue_frames=2
    )
    log.writer = small
    for _ in range(5):
        log.predict({"x": 1.0}, 0.5)
    log.close()
    found = monitor.wait_for("full", 1)
    assert found["requests"] + found["log"]["dropped"] == 5
    assert found["log"]["gaps"] == 1


def test_an_unreadable_segment_stops_nothing(monitor: Monitor, revision: Make, science_python: Path) -> None:
    place = monitor.folder / "predictions/odd"
    place.mkdir(parents=True)
    (place / "odd-1.1.1700000000000.1.seg").write_bytes(b"this is no segment")
    (place / "odd-1.1.1700000000000.2.seg").write_bytes(b"")
    (place / "notes.txt").write_text("not the monitor's")
    monitor.start()
    log = revision(monitor.folder, "odd", "odd-1")
    log.predict({"x": 1.0}, 0.5)
    log.close()
    found = monitor.wait_for("odd", 1)
    assert found["log"]["gaps"] == 2
    until(lambda: sorted(path.suffix for path in place.iterdir()) == [".json", ".txt"], "segments stay")


def test_a_logger_address_gets_cloudevents(monitor: Monitor, revision: Make) -> None:
    received: list[tuple[dict[str, str], bytes]] = []
    failures = iter([503])

    class Sink(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = next(failures, 200)
            if status == 200:
                received.append(({key.lower(): value for key, value in self.headers.items()}, body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        monitor.settings("sent", url=f"http://127.0.0.1:{server.server_port}/")
        monitor.start()
        log = revision(monitor.folder, "sent", "sent-1")
        log.predict({"x": 1.0}, 0.5, identity='odd "id" 100% ä')
        log.close()
        until(lambda: len(received) == 2, "the events do not come")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    (headers, body), (answer, _) = received
    assert headers["ce-type"] == "org.kubeflow.serving.inference.request"
    assert answer["ce-type"] == "org.kubeflow.serving.inference.response"
    assert headers["ce-id"] == answer["ce-id"] == "odd%20%22id%22%20100%25%20%C3%A4"
    assert (headers["ce-specversion"], headers["content-type"]) == ("1.0", "application/json")
    assert (headers["ce-inferenceservicename"], headers["ce-endpoint"]) == ("sent", "sent-1")
    assert json.loads(body)["inputs"][0]["name"] == "x"


def test_a_disk_that_is_full_of_waiting_events_gives_up_the_oldest(
    science_python: Path, tmp_path: Path, revision: Make
) -> None:
    away = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    monitor = Monitor(science_python, tmp_path, "--batch-seconds", "0", "--disk", "30000", env=away)
    monitor.start()
    try:
        for number in range(8):
            log = revision(tmp_path, "waiting", f"waiting-{number}")
            log.predict({"x": 1.0}, 0.5)
            log.close()
            monitor.wait_for("waiting", number + 1)
        until(lambda: "events were given up" in monitor.log.read_text(), "nothing was given up")
        waiting = tmp_path / "monitor/waiting/waiting"
        until(lambda: sum(path.stat().st_size for path in waiting.iterdir()) <= 30000, "too much waits")
        found = monitor.get("waiting", "window")
        assert found["requests"] == 8  # the window has them all
        events = rows(science_python, sorted(waiting.glob("*.parquet")))
        [gap] = [json.loads(row["data"]) for row in events if row["type"].endswith(".gap")]
        assert gap["reason"] == "disk"
        assert gap["count"] == found["log"]["dropped"] == 16 - (len(events) - 1)
        until(lambda: "the lake does not take events" in monitor.log.read_text(), "nothing is said", 60)
    finally:
        monitor.stop()


def test_questions_reach_into_the_lake(science_python: Path, tmp_path: Path, revision: Make) -> None:
    monitor = Monitor(science_python, tmp_path, "--memory", "20000")
    monitor.start()
    try:
        log = revision(tmp_path, "long", "long-1")
        began = time.time() - 3600
        for number in range(100):
            log.predict({"x": 1.0}, float(number), arrival=began + number)
        log.close()
        until(monitor.lake_files, "no file is in the lake")
        assert monitor.get("long", "window")["requests"] < 20
        assert monitor.get("long", "window", since=began - 1)["requests"] == 100
        assert monitor.get("long", "window", since=began + 49.5)["requests"] == 50
    finally:
        monitor.stop()
