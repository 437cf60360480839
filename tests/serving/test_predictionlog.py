"""The prediction log as a folder of files: what is written, sampled, dropped, and read after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from millpond.serving.predictionlog import (
    Control,
    Frame,
    SegmentError,
    SegmentWriter,
    kept,
    read_segment,
)
from model_servers import SOURCE


def writer(folder: Path, **options: int) -> SegmentWriter:
    return SegmentWriter(folder, deployment="iris", revision="iris-1", version="3", **options)


def keep(log: SegmentWriter, identity: str, request: bytes = b"{}", response: bytes = b"[]") -> None:
    log.prediction(
        identity,
        request,
        response,
        arrival=1.5,
        ms=2.0,
        status=200,
        protocol="v2",
        path="/v2/models/iris/infer",
    )


def frames(folder: Path, ending: str = "seg") -> list[Frame]:
    return [frame for path in sorted(folder.glob(f"*.{ending}")) for frame in read_segment(path)[1]]


def until(reached: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_kept_is_read_as_it_came(tmp_path: Path) -> None:
    Control("all").write(tmp_path)
    log = writer(tmp_path)
    keep(log, "a", b"\0request", b"response\xff")
    log.feedback("a", b'{"id": "a", "reward": 1}')
    log.close()
    [path] = tmp_path.glob("*.seg")
    header, _ = read_segment(path)
    assert (header["deployment"], header["namespace"], header["revision"]) == ("iris", "default", "iris-1")
    assert header["pid"] == os.getpid()
    first, second = frames(tmp_path)
    assert (first.request, first.response) == (b"\0request", b"response\xff")
    assert first.meta == {
        "kind": "prediction",
        "id": "a",
        "time": 1.5,
        "ms": 2.0,
        "status": 200,
        "protocol": "v2",
        "path": "/v2/models/iris/infer",
        "type": None,
        "header_length": None,
        "response_type": None,
        "response_header_length": None,
        "shadow": False,
    }
    assert (second.meta["kind"], second.meta["id"]) == ("feedback", "a")
    assert second.request == b'{"id": "a", "reward": 1}'
    assert (log.written, log.dropped) == (2, 0)


def test_the_control_file_says_what_is_kept_while_the_writer_runs(tmp_path: Path) -> None:
    log = writer(tmp_path)
    assert not log.on
    keep(log, "before")
    Control("request").write(tmp_path)
    until(lambda: log.on)
    keep(log, "asked", b"q", b"r")
    Control("response").write(tmp_path)
    until(lambda: log._control.mode == "response")
    keep(log, "answered", b"q", b"r")
    log.close()
    assert [(f.meta["id"], f.request, f.response) for f in frames(tmp_path)] == [
        ("asked", b"q", b""),
        ("answered", b"", b"r"),
    ]


def test_a_sample_is_chosen_by_the_id_alone(tmp_path: Path) -> None:
    identities = [f"request-{n}" for n in range(4000)]
    share = sum(kept(identity, 0.1) for identity in identities) / len(identities)
    assert 0.08 < share < 0.12
    assert all(kept(identity, 0.3) for identity in identities if kept(identity, 0.1))
    for folder in (tmp_path / "primary", tmp_path / "shadow"):
        Control("all", 0.1).write(folder)
        log = writer(folder)
        for identity in identities:
            keep(log, identity)
        log.close()
    primary, shadow = frames(tmp_path / "primary"), frames(tmp_path / "shadow")
    assert [f.meta["id"] for f in primary] == [f.meta["id"] for f in shadow]


def test_an_overflowing_queue_drops_counts_and_says_so(tmp_path: Path) -> None:
    Control("all").write(tmp_path)
    log = writer(tmp_path, queue_bytes=5000)
    for number in range(50):
        keep(log, str(number), b"x" * 600)
    log.close()
    found = frames(tmp_path)
    told = sum(f.meta["count"] for f in found if f.meta["kind"] == "dropped")
    assert told == log.dropped > 0
    assert sum(f.meta["kind"] == "prediction" for f in found) == 50 - told


def test_what_a_killed_process_wrote_is_read_up_to_its_torn_end(tmp_path: Path) -> None:
    Control("all").write(tmp_path)
    code = f"""
import sys, time
sys.path.insert(0, {str(SOURCE)!r})
from pathlib import Path
from millpond.serving.predictionlog import SegmentWriter
log = SegmentWriter(Path({str(tmp_path)!r}), deployment="iris", revision="r", version="1")
n = 0
while True:
    log.prediction(str(n), b"q", b"r", arrival=0, ms=0, status=200, protocol="v2", path="/")
    n += 1
    time.sleep(0.001)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: bool(frames(tmp_path, "open")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    [path] = tmp_path.glob("*.open")
    whole = frames(tmp_path, "open")
    assert [f.meta["id"] for f in whole] == [str(n) for n in range(len(whole))]
    path.write_bytes(path.read_bytes()[:-1])
    assert frames(tmp_path, "open") == whole[:-1]


@pytest.mark.slow
def test_segments_end_when_they_are_large_or_old(tmp_path: Path) -> None:
    Control("all").write(tmp_path)
    log = writer(tmp_path)
    for number in range(3):
        keep(log, str(number), b"x" * 8 * 1024 * 1024)
    until(lambda: len(list(tmp_path.glob("*.seg"))) == 3)
    keep(log, "small")
    until(lambda: len(list(tmp_path.glob("*.seg"))) == 4)
    assert not list(tmp_path.glob("*.open"))
    log.close()


def test_another_file_is_refused_by_its_name(tmp_path: Path) -> None:
    for content in (b"", b"{}\n", b"[1]\n", b'{"format": "millpond-log/1"', b"\xff\n"):
        path = tmp_path / "x.seg"
        path.write_bytes(content)
        with pytest.raises(SegmentError, match=r"x\.seg is no segment"):
            read_segment(path)
