"""Logs from their end, merged, and followed across rotation."""

from __future__ import annotations

from pathlib import Path

import pytest

from millpond.cli.tail import Tail
from millpond.targets.local.supervisor.logs import rotate


def news(tail: Tail) -> list[str]:
    return [line for file in tail._files for line in tail._news(file)]


def test_the_last_lines(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))
    Tail([log]).last(2)
    assert capfd.readouterr().out == "line 49998\nline 49999\n"


def test_a_log_that_was_just_rotated_is_completed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "a.log"
    log.write_text("old 1\nold 2\n")
    rotate(log, 3)
    log.write_text("new\n")
    Tail([log]).last(2)
    assert capfd.readouterr().out == "old 2\nnew\n"


def test_several_logs_have_prefixes(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dask.worker.log").write_text("w\n")
    (tmp_path / "dask.scheduler.log").write_text("s\n")
    Tail([tmp_path / "dask.worker.log", tmp_path / "dask.scheduler.log"]).last(5)
    assert capfd.readouterr().out == "dask.worker    │ w\ndask.scheduler │ s\n"


def test_nothing_is_lost_or_told_twice_when_a_log_is_rotated(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("1\n")
    tail = Tail([log])
    tail.last(0)
    with log.open("a") as stream:
        stream.write("2\n3 begins")
        stream.flush()
        assert news(tail) == ["2"]
        stream.write(" and ends\n4\n")
        stream.flush()
        rotate(log, 3)
    with log.open("a") as stream:
        stream.write("5\n")
    assert news(tail) == ["3 begins and ends", "4", "5"]
    assert news(tail) == []
